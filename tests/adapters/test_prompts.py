"""Prompts are checked when they are made, and can't be changed afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import InputError
from adapters.prompts import Prompts

coordinate = st.floats(0, 1000, allow_nan=False)
extent = st.floats(0.1, 500, allow_nan=False)


@given(st.lists(st.tuples(coordinate, coordinate, extent, extent), max_size=8))
def test_boxes_come_back_as_given(rows):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rows]).reshape(-1, 4)
    prompts = Prompts.from_boxes(boxes)
    assert len(prompts) == len(boxes)
    np.testing.assert_array_equal(prompts.boxes, boxes)
    assert prompts.boxes.dtype == np.float64


def test_arrays_are_copies_that_cannot_be_written():
    boxes = np.array([[0.0, 0.0, 5.0, 5.0]])
    prompts = Prompts.from_boxes(boxes)
    boxes[:] = 1
    assert prompts.boxes[0, 2] == 5
    with pytest.raises(ValueError):
        prompts.boxes[0, 0] = 3
    with pytest.raises(AttributeError):
        prompts.boxes = boxes


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[10, 10, 5, 20]], "inverted"),
        ([[10, 10, 10, 20]], "empty"),
        ([[0, 0, np.nan, 5]], "finite"),
        ([0, 0, 5, 5], r"\(N, 4\)"),
        ([["a", 0, 5, 5]], "numbers"),
        ([[0, 0, 5]], r"\(N, 4\)"),
    ],
)
def test_bad_boxes(boxes, said):
    with pytest.raises(InputError, match=said) as caught:
        Prompts.from_boxes(boxes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("points", "labels", "said"),
    [
        ([[[1, 2]]], [[2]], "labels"),
        ([[[1, 2]]], [[1, 1]], "shape"),
        ([[1, 2]], [[1]], r"\(N, K, 2\)"),
        ([[[np.inf, 2]]], [[1]], "finite"),
        (np.zeros((2, 0, 2)), np.zeros((2, 0)), "K >= 1"),
    ],
)
def test_bad_points(points, labels, said):
    with pytest.raises(InputError, match=said):
        Prompts.from_points(points, labels)


def test_at_least_one_kind_and_as_many_of_each():
    with pytest.raises(InputError, match="give one of them"):
        Prompts()
    both = Prompts.from_boxes_and_points([[0, 0, 5, 5]], [[[1, 1]]], [[1]])
    assert len(both) == 1
    with pytest.raises(InputError, match="2 boxes, but points for 1 prompts"):
        Prompts.from_boxes_and_points([[0, 0, 5, 5], [1, 1, 3, 3]], [[[1, 1]]], [[1]])


@pytest.mark.parametrize("logits", [np.zeros((2, 256, 256)), np.zeros((1, 100, 100)), np.full((1, 256, 256), np.nan)])
def test_logits_need_one_finite_row_a_prompt(logits):
    with pytest.raises(InputError, match="logits"):
        Prompts.from_boxes([[0, 0, 5, 5]], logits=logits)


def test_the_constructor_copies_too():
    boxes = np.array([[0.0, 0.0, 5.0, 5.0]])
    Prompts(boxes=boxes)
    boxes[:] = 1


def test_no_prompts_are_fine():
    assert len(Prompts.from_boxes(np.zeros((0, 4)))) == 0
    assert len(Prompts.from_points(np.zeros((0, 3, 2)), np.zeros((0, 3)))) == 0


def test_slices_keep_rows_together():
    points = np.arange(12.0).reshape(3, 2, 2)
    part = Prompts.from_points(points, [[1, 0], [1, 1], [0, -1]])[1:]
    np.testing.assert_array_equal(part.points, points[1:])
    np.testing.assert_array_equal(part.labels, [[1, 1], [0, -1]])


@pytest.mark.parametrize("box", [[650, 10, 700, 20], [-20, 10, 0, 20], [10, 480, 20, 490]])
def test_a_box_beside_the_image_is_refused(box):
    with pytest.raises(InputError, match="outside the 640x480 image"):
        Prompts.from_boxes([box]).check_inside(480, 640)


def test_a_box_that_sticks_out_is_let_through():
    Prompts.from_boxes([[-0.3, 10, 700, 20]]).check_inside(480, 640)


def test_a_point_beside_the_image_is_refused_but_padding_is_not():
    with pytest.raises(InputError, match="outside"):
        Prompts.from_points([[[641, 5]]], [[1]]).check_inside(480, 640)
    Prompts.from_points([[[5, 5], [-1, -1]]], [[1, -1]]).check_inside(480, 640)
