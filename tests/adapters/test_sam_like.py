"""The prompt interface on a SAM-like model: shapes, order, determinism, refusals, the official predictor's masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from adapters.errors import InputError
from adapters.prompts import Prompts

BOXES = [[50, 60, 200, 220], [300, 100, 420, 330], [10.5, 20.25, 90.75, 80.5]]


@pytest.fixture(scope="module")
def encoded(random_mobile_sam, scene):
    return random_mobile_sam.encode(scene)


def test_shapes_and_types(random_mobile_sam, encoded):
    candidates = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES))
    assert candidates.scores.shape == (3, 4)
    assert candidates.scores.dtype == np.float32
    assert candidates.logits.shape == (3, 4, 256, 256)
    masks = candidates.masks("best")
    assert masks.shape == (3, 480, 640)
    assert masks.dtype == bool


def test_every_choice_is_one_of_the_columns(random_mobile_sam, encoded):
    candidates = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES))
    columns = np.stack([candidates.masks(column) for column in range(4)], axis=1)
    best = 1 + candidates.scores[:, 1:].argmax(axis=1)
    np.testing.assert_array_equal(candidates.best(), best)
    np.testing.assert_array_equal(candidates.masks("best"), columns[np.arange(3), best])
    np.testing.assert_array_equal(candidates.masks("single"), columns[:, 0])
    np.testing.assert_array_equal(candidates.masks([3, 0], rows=[2, 0]), columns[[2, 0], [3, 0]])


def test_rows_follow_their_prompts(random_mobile_sam, encoded):
    forward = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES))
    backward = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES[::-1]))
    np.testing.assert_allclose(forward.scores, backward.scores[::-1], atol=1e-5)


def test_the_same_twice(random_mobile_sam, scene, encoded):
    again = random_mobile_sam.encode(scene)
    torch.testing.assert_close(again.features, encoded.features, rtol=0, atol=0)
    first, second = (random_mobile_sam.decode(e, Prompts.from_boxes(BOXES)) for e in (encoded, again))
    torch.testing.assert_close(first.logits, second.logits, rtol=0, atol=0)


def test_no_prompts_give_no_masks(random_mobile_sam, encoded):
    candidates = random_mobile_sam.decode(encoded, Prompts.from_boxes(np.zeros((0, 4))))
    assert candidates.scores.shape == (0, 4)
    assert candidates.masks().shape == (0, 480, 640)


def test_what_is_given_is_not_written_to(random_mobile_sam, encoded):
    boxes = np.array(BOXES, dtype=float)
    random_mobile_sam.decode(encoded, Prompts.from_boxes(boxes))
    np.testing.assert_array_equal(boxes, BOXES)


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8)])
def test_other_arrays_than_rgb_images_are_refused(random_mobile_sam, image):
    with pytest.raises(InputError, match="uint8 RGB"):
        random_mobile_sam.encode(image)


def test_a_box_beside_the_image_is_refused(random_mobile_sam, encoded):
    with pytest.raises(InputError, match="outside"):
        random_mobile_sam.decode(encoded, Prompts.from_boxes([[700, 0, 800, 50]]))


def test_rows_that_do_not_exist_are_refused(random_mobile_sam, encoded):
    candidates = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES))
    for rows in ([3], [-1], [True, False, True]):
        with pytest.raises(InputError, match="rows"):
            candidates.masks("best", rows=rows)


def test_columns_that_do_not_exist_are_refused(random_mobile_sam, encoded):
    candidates = random_mobile_sam.decode(encoded, Prompts.from_boxes(BOXES))
    with pytest.raises(InputError, match="columns 0 to 3"):
        candidates.masks(4)
    with pytest.raises(InputError, match="best, single"):
        candidates.masks("largest")


@pytest.mark.real_weights
def test_equals_the_official_predictor(mobile_sam, scene):
    """Boxes, clicks, both, clicks with an earlier answer, on real weights, against segment_anything's SamPredictor."""
    predictor = SamPredictor(mobile_sam.module)
    predictor.set_image(scene)
    embedding = mobile_sam.encode(scene)
    torch.testing.assert_close(embedding.features, predictor.features, rtol=0, atol=2e-5)
    points = np.random.default_rng(5).uniform(0, 1, (3, 3, 2)) * (640, 480)
    labels = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1]])
    by_box = mobile_sam.decode(embedding, Prompts.from_boxes(BOXES))
    by_clicks = mobile_sam.decode(embedding, Prompts.from_points(points, labels))
    earlier = by_clicks.logits[:, 2].numpy()
    again = mobile_sam.decode(embedding, Prompts.from_points(points, labels, earlier))
    by_both = mobile_sam.decode(embedding, Prompts.from_boxes_and_points(BOXES, points, labels))
    for row in range(3):
        clicks = {"point_coords": points[row], "point_labels": labels[row]}
        asked = (
            (by_box, {"box": np.array(BOXES[row])}),
            (by_clicks, clicks),
            (again, {**clicks, "mask_input": earlier[row][None]}),
            (by_both, {**clicks, "box": np.array(BOXES[row])}),
        )
        for candidates, prompt in asked:
            masks, scores, logits = predictor.predict(**prompt, multimask_output=True)
            single, _, _ = predictor.predict(**prompt, multimask_output=False)
            np.testing.assert_allclose(candidates.logits[row, 1:], logits, rtol=1e-4, atol=2e-4)
            np.testing.assert_allclose(candidates.scores[row, 1:], scores, atol=1e-4)
            ours = candidates.masks(np.arange(4), rows=np.full(4, row))
            assert np.count_nonzero(ours != np.concatenate([single, masks])) <= 8
