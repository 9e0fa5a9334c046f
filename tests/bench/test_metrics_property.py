"""Average precision and recall on drawn data sets: every entry of the reference evaluators' arrays, and by the book.

Scores are often equal, some objects are crowds, some images are empty, areas lie at the limits of the size classes, and
there are more detections than count.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.metrics import reference
from bench.metrics.average_precision import AREAS, coco_average_precision, coco_curves, lvis_curves
from bench.metrics.average_recall import Recall
from bench.metrics.reference import evaluate_coco, evaluate_lvis

SIDE = 32
CATEGORIES = (2, 5, 7)
SIZES = {"": (0, 1e10), "_small": (0, 1024), "_medium": (1024, 9216), "_large": (9216, 1e10)}

lightly = settings(max_examples=200, deadline=None)


@st.composite
def rectangle(draw):
    """Draw the x, y, width, height of one of few rectangles, so that many overlap and some are equal."""
    return [draw(st.sampled_from(choice)) for choice in ((0, 2, 9), (0, 3, 10), (6, 12, 20), (6, 12, 20))]


@st.composite
def dataset(draw):
    """Draw ground truth that both evaluators read, and up to six detections an image."""
    images, annotations, detections = [], [], []
    for number in range(draw(st.integers(1, 3))):
        some = st.lists(st.sampled_from(CATEGORIES), unique=True)
        federated = {"neg_category_ids": draw(some), "not_exhaustive_category_ids": draw(some)}
        images.append({"id": number, "height": SIDE, "width": SIDE, **federated})
        for _ in range(draw(st.integers(0, 4))):
            box = draw(rectangle())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": draw(st.sampled_from((2, 2, 2, 5, 7))),
                    "iscrowd": draw(st.sampled_from([0, 0, 0, 1])),
                    "area": draw(st.sampled_from([50.0, 1023.9, 1024.0, 1024.1, 9215.0, 9216.0, 9217.0])),
                    "segmentation": encoded(box),
                    "bbox": [float(value) for value in box],
                }
            )
        detections += [
            {
                "image_id": number,
                "category_id": draw(st.sampled_from((2, 2, 2, 5, 7))),
                "score": draw(st.sampled_from([0.1, 0.5, 0.5, 0.9])),
                "segmentation": encoded(draw(rectangle())),
            }
            for _ in range(draw(st.integers(0, 6)))
        ]
    categories = [{"id": i, "name": str(i), "frequency": letter} for i, letter in zip(CATEGORIES, "rcf", strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}, detections


def encoded(box):
    x, y, width, height = box
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    rle = codec.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def arrays_of(curves, precision, recall, images):
    """Return arrays like the reference evaluators' from curves of each image counted once."""
    once = np.ones((1, images), np.int64)
    found = -np.ones(precision.shape), -np.ones(recall.shape)
    for area, own in curves.items():
        for curve in own:
            where = (..., curve.category, AREAS.index(area))
            found[0][where], found[1][where] = curve.precision(once)[0], curve.recall(once)[0]
    return found


@lightly
@given(dataset(), st.sampled_from([2, 4, 100]))
def test_every_entry_of_pycocotools_arrays(data, limit):
    truth, detections = data
    evaluation = evaluate_coco(truth, detections, max_detections=(1, limit))
    precision, recall = (evaluation.eval[name][..., -1] for name in ("precision", "recall"))
    found = arrays_of(coco_curves(evaluation), precision, recall, len(truth["images"]))
    np.testing.assert_array_equal(found[0], precision)
    np.testing.assert_array_equal(found[1], recall)


@lightly
@given(dataset(), st.sampled_from([2, 4, 300]))
def test_every_entry_of_lvis_arrays(data, limit):
    truth, detections = data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "LVIS_LIMIT", limit)
        evaluation = evaluate_lvis(truth, detections)
    precision, recall = (evaluation.eval[name] for name in ("precision", "recall"))
    found = arrays_of(lvis_curves(evaluation), precision, recall, len(truth["images"]))
    np.testing.assert_array_equal(found[0], precision)
    np.testing.assert_array_equal(found[1], recall)


@lightly
@given(dataset(), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_recall_of_redrawn_images_is_counted(data, weights):
    truth, detections = data
    drawn = np.array([weights[: len(truth["images"])]])
    for curves in coco_curves(evaluate_coco(truth, detections)).values():
        for curve in curves:
            total = sum(drawn[0, holder] * held for holder, held in zip(curve.holders, curve.held, strict=True))
            for found, right in zip(curve.recall(drawn)[0], curve.right, strict=True):
                expected = sum(drawn[0, image] for image in curve.image[right]) / total if total else np.nan
                np.testing.assert_equal(found, expected)


def pixels(rle):
    return {tuple(place) for place in np.argwhere(codec.decode(rle)).tolist()}


def mask_overlap(proposal, annotation):
    first, second = pixels(proposal["segmentation"]), pixels(annotation["segmentation"])
    return len(first & second) / len(first | second)


def box_overlap(proposal, annotation):
    """Return the IoU of the tight box of a proposal's mask with an annotation's own box."""
    places = pixels(proposal["segmentation"])
    rows, columns = {row for row, _ in places}, {column for _, column in places}
    x, y, width, height = annotation["bbox"]
    own = {(row, column) for row in range(min(rows), max(rows) + 1) for column in range(min(columns), max(columns) + 1)}
    true = {(row, column) for row in range(int(y), int(y + height)) for column in range(int(x), int(x + width))}
    return len(own & true) / len(own | true)


def slow_recall(truth, proposals, counts, overlap, limit):
    """Return the average recall of the annotations that count, matched greedily, best proposal first.

    A proposal takes the best overlapping object that is free; of equals, the last.
    """
    recalls = []
    for threshold in np.linspace(0.5, 0.95, 10):
        found = total = 0
        for image in truth["images"]:
            free = [own for own in truth["annotations"] if own["image_id"] == image["id"] and counts(own)]
            total += len(free)
            order = sorted((p for p in proposals if p["image_id"] == image["id"]), key=lambda one: -one["score"])
            for proposal in order[:limit]:
                overlaps = [(overlap(proposal, own), index) for index, own in enumerate(free)]
                best = max(overlaps, default=(0, 0))
                if best[0] >= threshold:
                    del free[best[1]]
                    found += 1
        recalls.append(found / total if total else np.nan)
    return 100 * np.mean(recalls)


def plain(annotation):
    return not annotation["iscrowd"]


@settings(lightly, max_examples=100)
@given(dataset(), st.booleans())
def test_average_recall_by_the_book(data, federated):
    truth, proposals = data
    partly = {image["id"]: image["not_exhaustive_category_ids"] for image in truth["images"]}
    numbers = {one.metric: one for one in Recall(truth, proposals, (2, 1000), federated=federated).numbers()}

    def wanted(own):
        return plain(own) and not (federated and own["category_id"] in partly[own["image_id"]])

    for limit in (2, 1000):
        for size, (low, high) in SIZES.items():

            def counts(own, low=low, high=high):
                return wanted(own) and low <= own["area"] <= high

            for prefix, overlap in (("ar", mask_overlap), ("box_ar", box_overlap)):
                expected = slow_recall(truth, proposals, counts, overlap, limit)
                np.testing.assert_allclose(numbers[f"{prefix}{limit}{size}"].value, expected, rtol=1e-12)
        for frequency, category in zip(("_rare", "_common", "_frequent"), CATEGORIES, strict=True):

            def of_it(own, category=category):
                return wanted(own) and own["category_id"] == category

            expected = slow_recall(truth, proposals, of_it, mask_overlap, limit)
            np.testing.assert_allclose(numbers[f"ar{limit}{frequency}"].value, expected, rtol=1e-12)
    assert numbers["ar1000"].n == sum(map(wanted, truth["annotations"]))


@settings(max_examples=40, deadline=None)
@given(dataset(), st.randoms(use_true_random=False))
def test_size_classes_by_box_are_pycocotools_with_the_box_left_in(data, chance):
    """Results that carry a box: pycocotools then takes the box's area for a detection's."""
    truth, detections = data
    boxed = [{**found, "bbox": [0.0, 0.0, chance.choice([20.0, 32.0, 96.0, 120.0]), 32.0]} for found in detections]
    ours = evaluate_coco(truth, boxed, detection_area="box")
    plain_api = COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        plain_api.dataset = {**truth, "annotations": [dict(own) for own in truth["annotations"]]}
        plain_api.createIndex()
        if boxed:
            official = COCOeval(plain_api, plain_api.loadRes([dict(found) for found in boxed]), "segm")
            official.evaluate()
            official.accumulate()
            for name in ("precision", "recall"):
                np.testing.assert_array_equal(ours.eval[name], official.eval[name])


def test_a_box_left_in_moves_no_size_class_unless_asked():
    """The trap: a small mask in a large box stays small."""
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 900.0, "bbox": [0.0, 0.0, 30.0, 30.0]}
    rle = encoded((0, 0, 30, 30))
    truth = {
        "images": [{"id": 1, "height": SIDE, "width": SIDE}],
        "annotations": [{**annotation, "segmentation": rle}],
        "categories": [{"id": 1, "name": "one"}],
    }
    far = {**annotation, "image_id": 1, "score": 0.9, "bbox": [0.0, 0.0, 200.0, 200.0]}
    wrong = [{**far, "segmentation": encoded((20, 20, 4, 4))}, {**far, "score": 0.5, "segmentation": rle}]
    small = {
        how: {n.metric: n.value for n in coco_average_precision(truth, wrong, how)}["ap_small"]
        for how in ("mask", "box")
    }
    assert small["mask"] == pytest.approx(50, abs=1)
    assert small["box"] == pytest.approx(100, abs=1)
