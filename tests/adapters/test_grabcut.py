"""GrabCut: the model that always runs."""

import cv2
import numpy as np
import pytest

import adapters
from adapters.errors import InputError
from adapters.prompts import Prompts


@pytest.fixture(scope="module")
def grabcut():
    return adapters.load("grabcut")


@pytest.fixture(scope="module")
def red_disc():
    """Return an image of a red disc on noisy green, and the disc."""
    image = np.random.default_rng(0).normal((40, 150, 60), 8, (240, 320, 3))
    disc = np.zeros((240, 320), np.uint8)
    cv2.circle(disc, (150, 120), 50, 1, thickness=-1)
    image[disc == 1] += (150, -110, -20)
    return image.clip(0, 255).astype(np.uint8), disc.astype(bool)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_cuts_out_what_differs_in_colour(grabcut, red_disc):
    image, disc = red_disc
    mask = grabcut.decode(grabcut.encode(image), Prompts.from_boxes([[95, 65, 205, 175]])).masks()[0]
    assert iou(mask, disc) > 0.95


def test_clicks_are_certain(grabcut, red_disc):
    image, _ = red_disc
    clicks = Prompts.from_points([[[150, 120], [160, 130]], [[150, 120], [160, 130]]], [[1, 0], [0, 1]])
    first, second = grabcut.decode(grabcut.encode(image), clicks).masks()
    assert first[120, 150]
    assert not first[130, 160]
    assert not second[120, 150]
    assert second[130, 160]


def test_answers_with_the_box_where_nothing_is_left(grabcut):
    image = np.full((100, 100, 3), 128, np.uint8)
    mask = grabcut.decode(grabcut.encode(image), Prompts.from_boxes([[20, 30, 60, 80]])).masks()[0]
    truth = np.zeros((100, 100), bool)
    truth[30:80, 20:60] = True
    assert iou(mask, truth) > 0.95


@pytest.mark.parametrize(
    "box", [[0, 0, 320, 240], [-5, -5, 330, 250], [319.2, 239.3, 320, 240], [5, 5, 5.4, 200], [319.9, 1, 320, 20]]
)
def test_boxes_of_any_shape_get_an_answer(grabcut, red_disc, box):
    masks = grabcut.decode(grabcut.encode(red_disc[0]), Prompts.from_boxes([box])).masks()
    assert masks.shape == (1, 240, 320)
    assert masks.any()


def test_the_same_twice_and_in_any_company(grabcut, red_disc):
    embedding = grabcut.encode(red_disc[0])
    boxes = [[95, 65, 205, 175], [0, 0, 100, 100]]
    first, second = (grabcut.decode(embedding, Prompts.from_boxes(boxes)).masks() for _ in range(2))
    alone = grabcut.decode(embedding, Prompts.from_boxes(boxes[1:])).masks()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[1:], alone)


def test_has_no_scores_weights_or_everything(grabcut, red_disc):
    embedding = grabcut.encode(red_disc[0])
    assert np.isnan(grabcut.decode(embedding, Prompts.from_boxes([[5, 5, 50, 50]])).scores).all()
    assert grabcut.weights.short == "none"
    with pytest.raises(InputError, match="no everything mode"):
        grabcut.everything(embedding)


def test_stays_on_the_cpu_in_its_own_precision():
    grabcut = adapters.load("grabcut", dtype="bf16")
    assert (grabcut.device, grabcut.dtype) == ("cpu", "fp32")
