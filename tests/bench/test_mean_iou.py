"""Means by instance, image and category against redrawn images written out, and the number of clicks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from adapters.errors import InputError
from bench.metrics.bootstrap import draws, interval
from bench.metrics.mean_iou import CHOICES, SIZES, mean, mean_ious, noc


@pytest.fixture(scope="module")
def instances():
    """Return 60 instances in 12 images and 5 categories, of unequal numbers and means."""
    rng = np.random.default_rng(3)
    image = rng.choice(12, 60, p=np.arange(1, 13) / 78)
    category = rng.choice([3, 4, 9, 10, 77], 60, p=[0.5, 0.3, 0.14, 0.03, 0.03])
    ious = {column: (60 + 3 * image - category / 4 + rng.normal(0, 5, 60)).clip(0, 100) for column in CHOICES}
    area = rng.choice([10.0, 1024.0, 5000.0, 9216.0, 20000.0], 60)
    return pd.DataFrame({"image_id": 100 + image, "category_id": category, "area": area, **ious})


def slow_mean(instances, column, average):
    if average == "instance":
        return instances[column].mean()
    return instances.groupby({"image": "image_id", "category": "category_id"}[average])[column].mean().mean()


def redrawn(instances, weights):
    """Return the instances of the images drawn, a copy of an image being an image of its own."""
    own = np.searchsorted(np.unique(instances["image_id"]), instances["image_id"])
    rows, copies = np.array([(row, copy) for row, image in enumerate(own) for copy in range(weights[image])]).T
    return instances.iloc[rows].assign(image_id=own[rows] + 1000 * copies)


@pytest.mark.parametrize("average", ["instance", "image", "category"])
def test_means_and_intervals_are_those_of_redrawn_images(instances, average):
    number = mean("m", instances, "iou", average)
    assert number.value == pytest.approx(slow_mean(instances, "iou", average), abs=1e-9)
    weights = draws(instances["image_id"].nunique())
    drawn = np.array([slow_mean(redrawn(instances, own), "iou", average) for own in weights])
    assert (number.low, number.high) == pytest.approx(interval(drawn, number.value), abs=1e-9)
    assert number.low < number.value < number.high
    assert number.n == 60


@pytest.mark.parametrize("average", ["instance", "image", "category"])
def test_sizes_and_choices_under_every_average(instances, average):
    numbers = {number.metric: number for number in mean_ious(instances, average)}
    for column in CHOICES:
        for size, (low, high) in SIZES.items():
            chosen = instances[instances["area"].between(low, high)]
            number = numbers[f"miou{size}{column.removeprefix('iou')}"]
            assert number.value == pytest.approx(slow_mean(chosen, column, average), abs=1e-9)
            assert number.n == len(chosen)
    others = {"image", "category"} - {average}
    assert list(numbers)[12:] == [f"miou_by_{other}" for other in ("image", "category") if other in others]
    for other in others:
        assert numbers[f"miou_by_{other}"].value == pytest.approx(slow_mean(instances, "iou", other), abs=1e-9)


def test_a_hand_made_case():
    frame = pd.DataFrame({"image_id": [1, 1, 1, 2], "category_id": [5, 5, 6, 6], "iou": [90.0, 60.0, 30.0, 10.0]})
    assert mean("m", frame, "iou").value == 47.5
    assert mean("m", frame, "iou", "image").value == 35
    assert mean("m", frame, "iou", "category").value == 47.5


def test_boundary_iou_of_the_instances_that_have_one(instances):
    without = instances.assign(boundary_iou=np.nan)
    assert "boundary_iou" not in {number.metric for number in mean_ious(without)}
    known = instances.assign(boundary_iou=np.where(instances["image_id"] < 106, np.nan, instances["iou"] / 2))
    for average in ("instance", "image", "category"):
        number = {number.metric: number for number in mean_ious(known, average)}["boundary_iou"]
        chosen = known.dropna()
        assert number.value == pytest.approx(slow_mean(chosen, "boundary_iou", average), abs=1e-9)
        assert number.n == len(chosen) < 60


@pytest.mark.parametrize("average", ["instance", "image", "category"])
def test_nothing_to_average_is_not_zero(average):
    frame = pd.DataFrame(columns=["image_id", "category_id", "area", *CHOICES])
    assert all(np.isnan(number.value) and number.n == 0 for number in mean_ious(frame, average))


def test_an_unknown_average_is_refused(instances):
    with pytest.raises(InputError, match="did you mean 'category'"):
        list(mean_ious(instances, "categories"))


def test_number_of_clicks():
    frame = pd.DataFrame(
        {"image_id": [1, 1, 2, 2], "clicks_needed": [1, 20, 3, 20], "reached": [True, False, True, True]}
    )
    clicks, failures = noc(frame, 90)
    assert (clicks.metric, clicks.value, clicks.n, clicks.unit) == ("noc90", 11, 4, "clicks")
    assert (failures.metric, failures.value, failures.n, failures.unit) == ("failures90", 25, 4, "%")
    assert clicks.low <= clicks.value <= clicks.high
    assert [number.n for number in noc(frame[:0], 85.5)] == [0, 0]
    assert [number.metric for number in noc(frame[:0], 85.5)] == ["noc85.5", "failures85.5"]
