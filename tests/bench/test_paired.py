"""Paired comparison against resampled images written out, on data without a difference, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from adapters.errors import InputError
from bench.metrics.bootstrap import draws, interval
from bench.metrics.paired import Difference, paired


def models(images, spread, shift=0.0, seed=0):
    """Return two models' instances: hard and easy images, a difference that varies from image to image."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), rng.integers(1, 6, images))
    level = rng.normal(70, 10, images)[image]
    edge = rng.normal(shift, spread, images)[image]
    keys = {"image_id": image, "annotation_id": np.arange(len(image)), "category_id": rng.integers(0, 4, len(image))}
    first = pd.DataFrame({**keys, "iou": level + edge / 2 + rng.normal(0, spread, len(image))})
    second = pd.DataFrame({**keys, "iou": level - edge / 2 + rng.normal(0, spread, len(image))})
    return first, second


def slow_mean(instances, average):
    if average == "instance":
        return instances["iou"].mean()
    return instances.groupby({"image": "image_id", "category": "category_id"}[average])["iou"].mean().mean()


def resampled(instances, weights):
    """Return the instances of the images drawn, a copy of an image being an image of its own."""
    image = instances["image_id"].to_numpy()
    chosen = [(row, copy) for row, image_id in enumerate(image) for copy in range(weights[image_id])]
    rows, copies = np.array(chosen).T
    return instances.iloc[rows].assign(image_id=image[rows] + 1000 * copies)


@pytest.mark.parametrize("average", ["instance", "image", "category"])
def test_equals_means_of_resampled_images(average):
    first, second = models(13, 3)
    found = paired(first, second.sample(frac=1, random_state=1), average=average)
    value = slow_mean(first, average) - slow_mean(second, average)
    assert found.value == pytest.approx(value, abs=1e-9)
    drawn = [slow_mean(resampled(first, w), average) - slow_mean(resampled(second, w), average) for w in draws(13)]
    assert (found.low, found.high) == pytest.approx(interval(np.array(drawn), found.value), abs=1e-9)
    assert (found.n, found.images) == (len(first), 13)


@pytest.mark.parametrize("average", ["instance", "image", "category"])
def test_the_test_is_that_of_models_exchanged_image_by_image(average):
    first, second = models(7, 3, shift=2)
    extreme = []
    value = abs(slow_mean(first, average) - slow_mean(second, average))
    for exchanged in itertools.product([False, True], repeat=7):
        swap = np.array(exchanged)[first["image_id"]]
        one = first.assign(iou=np.where(swap, second["iou"], first["iou"]))
        other = first.assign(iou=np.where(swap, first["iou"], second["iou"]))
        extreme.append(abs(slow_mean(one, average) - slow_mean(other, average)) >= value - 1e-9)
    assert paired(first, second, average=average).p == pytest.approx(np.mean(extreme), abs=0.02)


def test_models_that_are_alike_are_told_apart_in_five_of_a_hundred_cases():
    results = [paired(*models(25, 4, seed=seed)) for seed in range(200)]
    assert 0.015 <= np.mean([result.p < 0.05 for result in results]) <= 0.09
    assert np.mean([result.told_apart for result in results]) <= 0.09
    assert 0.89 <= np.mean([result.low <= 0 <= result.high for result in results]) <= 0.985


def test_a_small_but_steady_difference_is_found():
    """One point among images that differ by ten: intervals of either model alone would overlap."""
    first, second = models(60, 1, shift=1, seed=5)
    assert paired(first, second).told_apart
    assert paired(first, second).value == pytest.approx(1, abs=0.6)


def test_a_hand_made_case():
    first = pd.DataFrame({"image_id": [1, 1, 2], "annotation_id": [1, 2, 3], "iou": [80.0, 70.0, 60.0]})
    second = pd.DataFrame({"image_id": [2, 1, 9], "annotation_id": [3, 1, 4], "iou": [57.0, 79.0, 0.0]})
    found = paired(first, second)
    assert (found.value, found.n, found.images) == (2, 2, 2)
    assert 0.45 <= found.p <= 0.55
    assert not found.told_apart


def test_a_model_and_itself():
    first, _ = models(5, 3)
    found = paired(first, first)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.sentence("A", "A") == f"A and A can't be told apart: 0.0 [0.0, 0.0] ({len(first)} instances, 5 images)"


def test_instances_without_a_number_are_left_out():
    first, second = models(6, 3)
    first.loc[:2, "iou"] = np.nan
    assert paired(first, second) == paired(first[3:], second[3:])


def test_in_words():
    clear = Difference(1.24, 0.4, 2.0, 0.003, 900, 200)
    assert clear.sentence("A", "B") == "A is better than B by 1.2 [0.4, 2.0] points (900 instances, 200 images)"
    other = Difference(-1.24, -2.0, -0.4, 0.003, 900, 200)
    assert other.sentence("A", "B") == "B is better than A by 1.2 [0.4, 2.0] points (900 instances, 200 images)"
    unclear = Difference(0.2, -0.4, 0.8, 0.4, 900, 200)
    assert unclear.sentence("A", "B") == "A and B can't be told apart: 0.2 [-0.4, 0.8] (900 instances, 200 images)"
    unsure = Difference(1.0, 0.9, 1.1, 0.5, 2, 2)
    assert "can't be told apart" in unsure.sentence("A", "B")


def test_what_can_not_be_compared_is_refused():
    first, second = models(4, 3)
    with pytest.raises(InputError, match="no instance in common"):
        paired(first, second.assign(image_id=second["image_id"] + 50))
    with pytest.raises(InputError, match="no instance in common"):
        paired(first, second.assign(iou=np.nan))
    with pytest.raises(InputError, match="no column 'boundary_iou'"):
        paired(first, second, "boundary_iou")
    with pytest.raises(InputError, match="repeated"):
        paired(first, pd.concat([second, second]))
    with pytest.raises(InputError, match="unknown average"):
        paired(first, second, average="object")
