"""Boundary IoU against distances counted pixel by pixel, and against erosion of the whole padded image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from bench.metrics.boundary_iou import band_width, boundary_iou
from bench.metrics.iou import iou


def slow_boundary(mask, width):
    """Return the mask's pixels that have a pixel without mask, in the image or beyond, at most ``width`` steps away."""
    height, length = mask.shape
    found = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        if y < width or x < width or y + width >= height or x + width >= length:
            found[y, x] = True
        else:
            found[y, x] = not mask[y - width : y + width + 1, x - width : x + width + 1].all()
    return found


def eroded_boundary(mask, width):
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (3, 9, 13)), arrays(bool, (9, 13)), st.sampled_from([0.02, 0.1, 0.2]))
def test_by_counting(answers, truth, ratio):
    width = band_width(9, 13, ratio)
    found = boundary_iou(answers, truth, ratio)
    expected = iou(np.array([slow_boundary(answer, width) for answer in answers]), slow_boundary(truth, width))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-30, 130)] * 2, *[st.integers(1, 90)] * 2), min_size=2, max_size=4))
def test_blobs_of_any_place_and_size(places):
    """Rectangles and ellipses, cut by the image's edges, side by side and far from each other."""
    y, x = np.mgrid[:120, :160]
    masks = []
    for index, (row, column, height, length) in enumerate(places):
        apart = abs(y - row) / height, abs(x - column) / length
        masks.append(np.hypot(*apart) <= 1 if index % 2 else np.maximum(*apart) <= 1)
    expected = iou(np.array([eroded_boundary(mask, 4) for mask in masks[1:]]), eroded_boundary(masks[0], 4))
    np.testing.assert_array_equal(boundary_iou(np.array(masks[1:]), masks[0]), expected)


def test_a_mask_that_fills_the_image_has_the_image_frame_for_its_boundary():
    truth, answer = np.ones((100, 100), bool), np.zeros((1, 100, 100), bool)
    answer[0, :, :50] = True
    frame, half = 100**2 - 94**2, 100 * 50 - 94 * 44
    shared = half - 94 * 3
    assert band_width(100, 100) == 3
    assert boundary_iou(answer, truth)[0] == pytest.approx(100 * shared / (frame + half - shared))


def test_nothing_and_all():
    empty, full = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    assert boundary_iou(np.array([empty, full]), empty).tolist() == [0, 0]
    np.testing.assert_allclose(boundary_iou(np.array([empty, full]), full), [0, 100])
    assert boundary_iou(np.zeros((0, 20, 30), bool), full).shape == (0,)


def test_what_is_given_is_not_written_to():
    answers, truth = np.ones((2, 8, 8), bool), np.ones((8, 8), bool)
    boundary_iou(answers, truth)
    assert answers.all()
    assert truth.all()


@pytest.mark.parametrize(("height", "width", "expected"), [(480, 640, 16), (10, 10, 1), (1, 1, 1), (1200, 1600, 40)])
def test_the_band_is_a_share_of_the_diagonal(height, width, expected):
    assert band_width(height, width) == expected
