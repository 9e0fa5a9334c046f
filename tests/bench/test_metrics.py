"""Numbers against brute force, published values, and the reference evaluators' own arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as codec

from bench.metrics.average_precision import (
    AREAS,
    coco_average_precision,
    coco_curves,
    lvis_average_precision,
    lvis_curves,
)
from bench.metrics.average_recall import Recall
from bench.metrics.bootstrap import draws, interval, interval_of_ratio
from bench.metrics.iou import iou
from bench.metrics.mean_iou import mean_ious
from bench.metrics.reference import evaluate_coco, evaluate_lvis, ground_truth
from tests.conftest import read_json

SIDE = 40
CATEGORIES = (2, 5, 7)


@settings(max_examples=100, deadline=None)
@given(arrays(bool, (3, 7, 9)), arrays(bool, (7, 9)))
def test_iou_by_counting(answers, truth):
    expected = [100 * (a & truth).sum() / ((a | truth).sum() + 1e-7) for a in answers]
    np.testing.assert_allclose(iou(answers, truth), expected)


def test_sizes_include_both_limits():
    areas = [10.0, 1024.0, 5000.0, 9216.0, 9217.0]
    ious = [10.0, 20.0, 30.0, 40.0, 50.0]
    frame = pd.DataFrame({"image_id": range(5), "area": areas, "iou": ious, "iou_single": 0.0, "iou_oracle": 100.0})
    numbers = {number.metric: number for number in mean_ious(frame)}
    assert numbers["miou"].value == 30
    assert (numbers["miou_small"].value, numbers["miou_small"].n) == (15, 2)
    assert (numbers["miou_medium"].value, numbers["miou_medium"].n) == (30, 3)
    assert (numbers["miou_large"].value, numbers["miou_large"].n) == (45, 2)
    assert numbers["miou_oracle"].value == numbers["miou_oracle"].low == 100
    assert len(numbers) == 13


def test_nothing_to_average_is_not_zero():
    columns = ["image_id", "area", "iou", "iou_single", "iou_oracle"]
    assert all(np.isnan(number.value) and number.n == 0 for number in mean_ious(pd.DataFrame(columns=columns)))


def test_a_single_image_has_no_interval():
    assert np.isnan(interval_of_ratio(np.array([5.0]), np.array([2.0]))).all()
    assert np.isnan(interval_of_ratio(np.array([5.0, 0.0]), np.array([2.0, 0.0]))).all()


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 data sets of 60 images whose objects are alike: 95 % of the intervals hold the true mean, within chance."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        level = rng.normal(70, 12, 60)
        counts = rng.integers(1, 12, 60)
        sums = np.array([rng.normal(own, 5, n).sum() for own, n in zip(level, counts, strict=True)])
        low, high = interval_of_ratio(sums, counts.astype(float))
        held += low <= 70 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_draws_are_always_the_same_and_of_the_same_size():
    np.testing.assert_array_equal(draws(7, 20), draws(7, 20))
    assert (draws(7, 20).sum(axis=1) == 7).all()


def test_an_interval_is_corrected_for_the_draws_bias():
    """Draws that lie above the value on the whole are shifted back around it."""
    drawn = np.random.default_rng(0).normal(52, 2, 5000)
    low, high = interval(drawn, 50.0)
    assert low < 50 < high < np.quantile(drawn, 0.975)


@pytest.fixture(scope="module")
def api_sample(shared):
    """Return the COCO API's own sample: ground truth and mask detections."""
    folder = shared / "data" / "cocoapi_val2014_100"
    annotations = folder / "instances_val2014_100.json"
    ids = [image["id"] for image in read_json(annotations)["images"]]
    return ground_truth(annotations, ids), read_json(folder / "instances_val2014_fakesegm100_results.json")


def test_published_values_of_the_coco_api(api_sample):
    expected = {
        "ap": 0.319545,
        "ap50": 0.562288,
        "ap75": 0.298927,
        "ap_small": 0.387374,
        "ap_medium": 0.310183,
        "ap_large": 0.326934,
    }
    numbers = {number.metric: number for number in coco_average_precision(*api_sample)}
    for metric, value in expected.items():
        assert numbers[metric].value == pytest.approx(100 * value, abs=5e-5)
        assert numbers[metric].low < numbers[metric].value < numbers[metric].high


def test_published_box_values_of_the_coco_api(shared, api_sample):
    boxes = read_json(shared / "data" / "cocoapi_val2014_100" / "instances_val2014_fakebbox100_results.json")
    precision = evaluate_coco(api_sample[0], boxes, iou_type="bbox").eval["precision"][:, :, :, 0, -1]
    assert precision[precision > -1].mean() == pytest.approx(0.504581, abs=5e-7)


def test_truth_as_detections(coco, coco_folder):
    truth = ground_truth(coco_folder / "annotations.json", [image.id for image in coco.images])
    detections = [as_detection(annotation, truth) for annotation in truth["annotations"] if not annotation["iscrowd"]]
    numbers = {number.metric: number.value for number in coco_average_precision(truth, detections)}
    assert set(numbers.values()) == {100.0}
    recall = evaluate_coco(truth, detections).eval["recall"][:, :, 0, :]
    assert recall[recall[..., 0] > -1].reshape(-1, 3).mean(axis=0) == pytest.approx([0.642934, 0.985079, 1], abs=5e-7)


def test_truth_as_detections_in_lvis(shared):
    annotations = shared / "data" / "lvis_v05_val_34" / "annotations.json"
    truth = ground_truth(annotations, [image["id"] for image in read_json(annotations)["images"]])
    detections = [as_detection(annotation, truth) for annotation in truth["annotations"]]
    numbers = {number.metric: number.value for number in lvis_average_precision(truth, detections)}
    assert [numbers[metric] for metric in ("ap", "ap50", "ap75", "ap_common", "ap_frequent")] == [100.0] * 5
    none = {number.metric: number.value for number in lvis_average_precision(truth, [])}
    assert none["ap"] == 0


def as_detection(annotation, truth):
    """Return a ground-truth annotation as a detection of score 1."""
    image = next(image for image in truth["images"] if image["id"] == annotation["image_id"])
    rle = codec.merge(codec.frPyObjects(annotation["segmentation"], image["height"], image["width"]))
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "score": 1.0,
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
    }


@st.composite
def a_dataset(draw):
    """Draw a small data set with ties, crowds, empty images, empty categories, and areas at the limits."""
    areas = st.sampled_from([1.0, 1023.0, 1024.0, 1025.0, 9215.0, 9216.0, 9217.0, 50000.0])
    images = [{"id": i, "height": SIDE, "width": SIDE} for i in range(draw(st.integers(1, 4)))]
    annotations, detections = [], []
    for image in images:
        for _ in range(draw(st.integers(0, 4))):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": draw(st.sampled_from(CATEGORIES)),
                    "iscrowd": draw(st.sampled_from([0, 0, 0, 1])),
                    "area": draw(areas),
                    "segmentation": draw(rectangle),
                    "bbox": [0, 0, 1, 1],
                }
            )
        for _ in range(draw(st.integers(0, 6))):
            score = draw(st.sampled_from([0.1, 0.5, 0.5, 0.9]))
            detections.append(
                {
                    "image_id": image["id"],
                    "category_id": draw(st.sampled_from(CATEGORIES)),
                    "score": score,
                    "segmentation": draw(rectangle),
                }
            )
    categories = [{"id": i, "name": str(i), "frequency": letter} for i, letter in zip(CATEGORIES, "rcf", strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}, detections


@st.composite
def rectangle(draw):
    """Draw a rectangle's RLE; many of them overlap."""
    x, y = draw(st.integers(0, 20)), draw(st.integers(0, 20))
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + draw(st.sampled_from([3, 10, 19])), x : x + draw(st.sampled_from([3, 10, 19]))] = 1
    rle = codec.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


rectangle = rectangle()


def arrays_of(curves, shape, images):
    """Return precision arrays as the reference evaluators lay them out, each image counted once."""
    found = -np.ones(shape)
    for area, own in curves.items():
        for curve in own:
            found[..., curve.category, AREAS.index(area)] = curve.precision(np.ones((1, images), np.int64))[0]
    return found


@settings(max_examples=150, deadline=None)
@given(a_dataset())
def test_curves_equal_pycocotools_in_every_entry(data):
    truth, detections = data
    evaluation = evaluate_coco(truth, detections)
    expected = evaluation.eval["precision"][..., -1]
    np.testing.assert_array_equal(arrays_of(coco_curves(evaluation), expected.shape, len(truth["images"])), expected)


@settings(max_examples=100, deadline=None)
@given(a_dataset(), st.data())
def test_curves_equal_lvis_in_every_entry(data, extra):
    truth, detections = data
    for image in truth["images"]:
        image["neg_category_ids"] = extra.draw(st.lists(st.sampled_from(CATEGORIES), unique=True))
        image["not_exhaustive_category_ids"] = extra.draw(st.lists(st.sampled_from(CATEGORIES), unique=True))
    evaluation = evaluate_lvis(truth, detections)
    expected = evaluation.eval["precision"]
    np.testing.assert_array_equal(arrays_of(lvis_curves(evaluation), expected.shape, len(truth["images"])), expected)


@settings(max_examples=100, deadline=None)
@given(a_dataset(), st.data())
def test_a_redrawn_curve_is_the_curve_of_repeated_images(data, extra):
    """Drawing an image twice gives what pycocotools says of a data set that holds it twice."""
    truth, detections = data
    detections = [{**found, "score": found["score"] + 1e-6 * index} for index, found in enumerate(detections)]
    images = truth["images"]
    weights = extra.draw(st.lists(st.integers(0, 2), min_size=len(images), max_size=len(images)).filter(any))
    repeated = {"images": [], "annotations": [], "categories": truth["categories"]}
    found = []
    for image, weight in zip(images, weights, strict=True):
        for _ in range(weight):
            copy = {"image_id": len(repeated["images"])}
            repeated["images"].append({**image, "id": copy["image_id"]})
            own = [annotation for annotation in truth["annotations"] if annotation["image_id"] == image["id"]]
            start = len(repeated["annotations"]) + 1
            repeated["annotations"] += [{**a, **copy, "id": number} for number, a in enumerate(own, start)]
            found += [{**detection, **copy} for detection in detections if detection["image_id"] == image["id"]]
    expected = evaluate_coco(repeated, found).eval["precision"][..., -1]
    drawn = -np.ones(expected.shape)
    for area, curves in coco_curves(evaluate_coco(truth, detections)).items():
        for curve in curves:
            values = curve.precision(np.array([weights]))[0]
            drawn[..., curve.category, AREAS.index(area)] = np.where(np.isnan(values), -1, values)
    np.testing.assert_array_equal(drawn, expected)


def slow_average_recall(truth, proposals, limit):
    """Class-agnostic recall, written by the book: greedy matching by score at each threshold, crowds set aside."""
    recalls = []
    for threshold in np.linspace(0.5, 0.95, 10):
        found = total = 0
        for image in truth["images"]:
            objects = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
            order = sorted((p for p in proposals if p["image_id"] == image["id"]), key=lambda p: -p["score"])[:limit]
            plain = [a for a in objects if not a["iscrowd"]]
            total += len(plain)
            taken = set()
            for proposal in order:
                best, chosen = min(threshold, 1 - 1e-10), None
                for index, annotation in enumerate(plain):
                    if index in taken:
                        continue
                    overlap = codec.iou([proposal["segmentation"]], [annotation["segmentation"]], [0])[0, 0]
                    if overlap >= best:
                        best, chosen = overlap, index
                if chosen is not None:
                    taken.add(chosen)
                    found += 1
        recalls.append(found / total if total else np.nan)
    return 100 * np.mean(recalls)


@settings(max_examples=80, deadline=None)
@given(a_dataset())
def test_average_recall_by_the_book(data):
    truth, proposals = data
    numbers = {number.metric: number for number in Recall(truth, proposals).numbers()}
    for limit in (10, 100, 1000):
        np.testing.assert_allclose(numbers[f"ar{limit}"].value, slow_average_recall(truth, proposals, limit))
    assert numbers["proposals"].value == pytest.approx(len(proposals) / len(truth["images"]))
