"""FastSAM's prompt step against a slow one written by the book, and against what official code chose."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapters.mask_selection import by_box, by_box_of_mask, by_points, paint
from bench.datasets import Dataset
from tests.conftest import read_json

HEIGHT, WIDTH = 9, 12
some_masks = st.integers(1, 6).flatmap(lambda m: arrays(np.uint8, (m, HEIGHT, WIDTH), elements=st.integers(0, 1)))
corner = st.tuples(st.floats(-3, WIDTH - 0.5), st.floats(-3, HEIGHT - 0.5))
extent = st.tuples(st.floats(0.6, WIDTH + 3), st.floats(0.6, HEIGHT + 3))
a_box = (
    st.tuples(corner, extent)
    .map(lambda b: [b[0][0], b[0][1], b[0][0] + b[1][0], b[0][1] + b[1][1]])
    .filter(lambda box: box[2] > 0 and box[3] > 0)
)
a_point = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))


def slow_box(masks, box):
    """One box at a time, with Python's own rounding."""
    x0, y0 = max(0, round(box[0])), max(0, round(box[1]))
    x1, y1 = min(WIDTH, round(box[2])), min(HEIGHT, round(box[3]))
    ious = []
    for mask in masks:
        shared = int(mask[y0:y1, x0:x1].sum())
        union = (x1 - x0) * (y1 - y0) + int(mask.sum()) - shared
        ious.append(np.float32(shared) / np.float32(union) if union else np.float32(0))
    return int(np.argmax(ious))


def slow_points(masks, points, labels):
    """Masks from large to small, points in order, each painting over what is there."""
    canvas = np.zeros((HEIGHT, WIDTH), bool)
    for mask in sorted(masks, key=lambda mask: int(mask.sum()), reverse=True):
        for (x, y), label in zip(points, labels, strict=True):
            if mask[y, x]:
                canvas[mask.astype(bool)] = bool(label)
    return canvas


@settings(max_examples=200, deadline=None)
@given(some_masks, st.lists(a_box, min_size=1, max_size=5))
def test_boxes_choose_as_one_by_one(masks, boxes):
    chosen = by_box(torch.from_numpy(masks), np.array(boxes))
    assert chosen.tolist() == [slow_box(masks, box) for box in boxes]


@settings(max_examples=200, deadline=None)
@given(some_masks, st.lists(st.tuples(a_point, st.integers(0, 1)), min_size=1, max_size=5))
def test_points_paint_as_one_by_one(masks, clicks):
    points, labels = zip(*clicks, strict=True)
    strokes = by_points(torch.from_numpy(masks), np.array([points], float), np.array([labels], np.int8))
    np.testing.assert_array_equal(paint(torch.from_numpy(masks), strokes[0]), slow_points(masks, points, labels))


def test_padding_points_paint_nothing():
    masks = torch.ones(1, HEIGHT, WIDTH, dtype=torch.uint8)
    strokes = by_points(masks, np.array([[[1.0, 1.0], [-1.0, -1.0]]]), np.array([[-1, -1]], np.int8))
    assert not paint(masks, strokes[0]).any()


def test_a_point_on_or_beyond_the_edge_is_cut_to_it():
    masks = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[0, -1, -1] = 1
    strokes = by_points(masks, np.array([[[float(WIDTH), float(HEIGHT)]]]), np.array([[1]], np.int8))
    assert strokes == [[(0, 1)]]


def test_order_is_kept_and_boxes_are_not_written_to():
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[0, :4, :4], masks[1, 5:, 5:] = 1, 1
    boxes = np.array([[5, 5, 12, 9], [0, 0, 4, 4], [5.2, 5.2, 12, 9]])
    before = boxes.copy()
    assert by_box(masks, boxes).tolist() == [1, 0, 1]
    np.testing.assert_array_equal(boxes, before)


def test_the_papers_rule_compares_with_the_masks_own_box():
    """A thin diagonal fills its box to a tenth: by pixels the full disc wins, by boxes the diagonal."""
    masks = torch.zeros(2, 10, 10, dtype=torch.uint8)
    masks[0] = torch.eye(10, dtype=torch.uint8)
    masks[1, 1:8, 1:8] = 1
    box = np.array([[0.0, 0.0, 10.0, 10.0]])
    assert by_box(masks, box).tolist() == [1]
    assert by_box_of_mask(masks, box).tolist() == [0]


def test_every_choice_of_the_official_code(shared, coco: Dataset):
    images = {image.id: image for image in coco.images}
    for case in read_json(shared / "parity" / "fast_sam_prompts.json")["cases"]:
        image = images[case["image_id"]]
        annotated = {annotation.id: annotation for annotation in image.annotations}
        ids = case["mask_annotation_ids"]
        masks = torch.from_numpy(np.stack([annotated[i].mask(image.height, image.width) for i in ids]).astype(np.uint8))
        chosen = by_box(masks, np.array([box["xyxy"] for box in case["boxes"]]))
        assert [ids[index] for index in chosen] == [box["chosen_annotation_id"] for box in case["boxes"]]
        for asked in case["points"]:
            points, labels = np.array([asked["xy"]], float), np.array([asked["labels"]], np.int8)
            rows, columns = np.nonzero(paint(masks, by_points(masks, points, labels)[0]))
            assert (len(rows), columns.sum(), rows.sum()) == (asked["area"], asked["sum_x"], asked["sum_y"])
