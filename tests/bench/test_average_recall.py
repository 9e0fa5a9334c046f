"""Average recall by size, frequency and box against the reference evaluators' own recalls; LVIS's federated rules."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as codec

from bench.metrics.average_recall import Recall
from bench.metrics.reference import evaluate_coco, evaluate_lvis

SIDE, LIMITS, AREAS = 120, (2, 5, 9), ("", "_small", "_medium", "_large")
CATEGORIES = [{"id": i, "name": str(i), "frequency": letter} for i, letter in ((3, "r"), (4, "c"), (8, "f"), (9, "f"))]


def rle(x, y, width, height):
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    encoded = codec.encode(mask)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@pytest.fixture(scope="module")
def scenes():
    """Return six images, the last one empty, of rectangles of all sizes, and shaken copies of them for proposals."""
    rng = np.random.default_rng(0)
    images = [
        {
            "id": i,
            "height": SIDE,
            "width": SIDE,
            "neg_category_ids": [],
            "not_exhaustive_category_ids": [8] if i < 2 else [],
        }
        for i in range(6)
    ]
    annotations, proposals = [], []
    for image in images[:5]:
        for _ in range(6):
            side = rng.integers(8, 110, 2)
            corner = [rng.integers(0, SIDE - length) for length in side]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": int(rng.choice([3, 4, 8, 9])),
                    "area": float(rng.choice([side.prod(), 1024, 9216])),
                    "bbox": [float(value) for value in (*corner, *side)],
                    "segmentation": rle(*corner, *side),
                }
            )
            for _ in range(3):
                where = np.maximum(np.array([*corner, *side]) + rng.integers(-4, 5, 4), (0, 0, 1, 1))
                score = float(rng.choice([0.2, 0.5, 0.8]))
                proposals.append(
                    {"image_id": image["id"], "category_id": 0, "score": score, "segmentation": rle(*where)}
                )
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}, proposals


def as_one(truth, proposals):
    """Return both with a single category, in both evaluators' formats."""
    annotations = [{**own, "category_id": 1} for own in truth["annotations"]]
    images = [{**image, "not_exhaustive_category_ids": []} for image in truth["images"]]
    categories = [{"id": 1, "name": "object", "frequency": "f"}]
    merged = {**truth, "images": images, "annotations": annotations, "categories": categories}
    return merged, [{**proposal, "category_id": 1} for proposal in proposals]


def by_name(numbers):
    return {number.metric: number for number in numbers}


def test_masks_of_every_size_are_pycocotools_recalls(scenes):
    numbers = by_name(Recall(*scenes, limits=LIMITS).numbers())
    recalls = evaluate_coco(*as_one(*scenes), by_category=False, max_detections=LIMITS).eval["recall"][:, 0]
    for column, limit in enumerate(LIMITS):
        for row, suffix in enumerate(AREAS):
            number = numbers[f"ar{limit}{suffix}"]
            assert number.value == 100 * recalls[:, row, column].mean()
            assert number.low <= number.value <= number.high
    assert sum(numbers[f"ar9{suffix}"].n for suffix in AREAS[1:]) >= numbers["ar9"].n == 30


def test_boxes_are_pycocotools_recalls_of_tight_boxes(scenes):
    truth, proposals = as_one(*scenes)
    boxed = [{**proposal, "bbox": codec.toBbox(proposal["segmentation"]).tolist()} for proposal in proposals]
    recalls = evaluate_coco(truth, boxed, "bbox", max_detections=LIMITS).eval["recall"][:, 0]
    numbers = by_name(Recall(*scenes, limits=LIMITS).numbers())
    for column, limit in enumerate(LIMITS):
        for row, suffix in enumerate(AREAS):
            assert numbers[f"box_ar{limit}{suffix}"].value == 100 * recalls[:, row, column].mean()


@pytest.mark.parametrize(("suffix", "categories"), [("_rare", [3]), ("_common", [4]), ("_frequent", [8, 9])])
def test_frequencies_are_recalls_of_a_truth_that_holds_nothing_else(scenes, suffix, categories):
    truth, proposals = scenes
    alone = [own for own in truth["annotations"] if own["category_id"] in categories]
    expected = by_name(Recall({**truth, "annotations": alone}, proposals, LIMITS).numbers())
    numbers = by_name(Recall(truth, proposals, LIMITS).numbers())
    for limit in LIMITS:
        found, wanted = numbers[f"ar{limit}{suffix}"], expected[f"ar{limit}"]
        assert (found.value, found.low, found.high, found.n) == (wanted.value, wanted.low, wanted.high, len(alone))


def test_lvis_own_recall_of_one_category_is_the_same(scenes):
    """Federated rules ask for a detection's category; with all of them one they leave recall as it is."""
    recalls = evaluate_lvis(*as_one(*scenes)).eval["recall"][:, 0]
    numbers = by_name(Recall(*scenes, limits=[300]).numbers())
    for row, suffix in enumerate(AREAS):
        assert numbers[f"ar300{suffix}"].value == 100 * recalls[:, row].mean()


def test_federated_recall_leaves_out_what_is_annotated_in_part(scenes):
    truth, proposals = scenes
    complete = [own for own in truth["annotations"] if own["category_id"] != 8 or own["image_id"] >= 2]
    assert len(complete) < len(truth["annotations"])
    numbers = by_name(Recall(truth, proposals, (10, 100, 300), federated=True).numbers())
    expected = by_name(Recall({**truth, "annotations": complete}, proposals, (10, 100, 300)).numbers())
    assert numbers == expected
    assert numbers["ar300"].n == len(complete)


def test_recall_is_the_mean_of_the_objects_own(scenes):
    truth, proposals = scenes
    crowd = {**truth["annotations"][0], "id": 99, "iscrowd": 1, "bbox": [0.0, 0.0, 9.0, 9.0]}
    recall = Recall({**truth, "annotations": [*truth["annotations"], crowd]}, proposals, LIMITS)
    of_objects, numbers = recall.of_objects(), by_name(recall.numbers())
    assert sorted(of_objects) == [own["id"] for own in truth["annotations"]]
    for column, limit in enumerate(LIMITS):
        mean = np.mean([shares[column] for shares in of_objects.values()])
        assert mean == pytest.approx(numbers[f"ar{limit}"].value)
    assert recall.of_objects() == of_objects


def test_an_object_is_found_at_so_many_thresholds_as_its_proposal_reaches():
    """Two proposals of 200 and 300 of an object's 400 pixels: IoU 0.5 and 0.75, one and six of ten thresholds."""
    truth = {
        "images": [{"id": 1, "height": SIDE, "width": SIDE}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "area": 400.0, "bbox": [0.0, 0.0, 20.0, 20.0],
                         "segmentation": rle(0, 0, 20, 20)}],
        "categories": CATEGORIES,
    }  # fmt: skip
    proposals = [{"image_id": 1, "category_id": 1, "score": score, "segmentation": rle(0, 0, 20, height)}
                 for score, height in ((0.9, 10), (0.8, 15))]  # fmt: skip
    assert Recall(truth, proposals, (1, 2)).of_objects() == {7: pytest.approx([10, 60])}
    assert Recall(truth, [], (1, 2)).of_objects() == {7: [0, 0]}
    assert Recall({**truth, "annotations": []}, proposals, (1, 2)).of_objects() == {}
    partly = {**truth, "images": [{**truth["images"][0], "not_exhaustive_category_ids": [3]}]}
    assert Recall(partly, proposals, (1, 2), federated=True).of_objects() == {}


def test_names(scenes):
    truth, proposals = scenes
    sizes = [f"ar{limit}{suffix}" for suffix in AREAS for limit in (10, 100, 1000)]
    frequencies = [f"ar{limit}{suffix}" for suffix in ("_rare", "_common", "_frequent") for limit in (10, 100, 1000)]
    boxes = [f"box_{name}" for name in sizes]
    named = [number.metric for number in Recall(truth, proposals).numbers()]
    assert named == [*sizes, *frequencies, *boxes, "proposals"]
    plain = {**truth, "categories": [{"id": own["id"], "name": own["name"]} for own in CATEGORIES]}
    assert [number.metric for number in Recall(plain, proposals).numbers()] == [*sizes, *boxes, "proposals"]


def test_no_proposals_and_no_objects(scenes):
    truth, proposals = scenes
    numbers = by_name(Recall(truth, []).numbers())
    assert numbers["ar1000"].value == numbers["box_ar10_large"].value == numbers["proposals"].value == 0
    empty = by_name(Recall({**truth, "annotations": []}, proposals).numbers())
    assert np.isnan(empty["ar1000"].value)
    assert empty["ar1000"].n == 0
    assert empty["proposals"].value == 15


def test_what_is_given_is_not_written_to(scenes):
    truth, proposals = scenes
    before = repr(truth), repr(proposals)
    list(Recall(truth, proposals, federated=True).numbers())
    assert (repr(truth), repr(proposals)) == before
