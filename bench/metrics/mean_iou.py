"""Means over instances: IoU by size class, boundary IoU, and the number of clicks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from adapters.errors import unknown
from bench.metrics.bootstrap import draws, interval, interval_of_ratio
from bench.metrics.number import Number

SMALL, LARGE = 32**2, 96**2
SIZES: dict[str, tuple[float, float]] = {
    "": (-np.inf, np.inf),
    "_small": (-np.inf, SMALL),
    "_medium": (SMALL, LARGE),
    "_large": (LARGE, np.inf),
}
"""Size classes by the annotation's own area, both limits included, as sam_eval_utils.filter_results_by_area has them:
an instance of exactly 1024 or 9216 px² counts in two of them."""

CHOICES = ("iou", "iou_single", "iou_oracle")
"""Columns of instances: the mask the protocol selects, the single mask, the best of the multimask answer."""

Average = Literal["instance", "image", "category"]
"""What counts alike: every instance, every image (SlimSAM and HQ-SAM average so), or every category."""

Floats = NDArray[np.float64]


def mean_ious(instances: pd.DataFrame, average: Average = "instance") -> Iterator[Number]:
    """Yield miou, miou_small, miou_medium, miou_large, then the same with _single and _oracle, in percent.

    After them miou_by_image and miou_by_category, but for the one that miou is already, and boundary_iou where any
    instance has one. Whatever the average, n counts instances.

    Args:
        instances: one row an instance: image_id, category_id (needed for the average by category alone), area, the
            columns of CHOICES, and, if known, boundary_iou.
        average: of all but the two that name their own.
    """
    for column in CHOICES:
        suffix = column.removeprefix("iou")
        for size, (low, high) in SIZES.items():
            chosen = instances[(instances["area"] >= low) & (instances["area"] <= high)]
            yield mean(f"miou{size}{suffix}", chosen, column, average)
    if average != "image":
        yield mean("miou_by_image", instances, "iou", "image")
    if average != "category" and "category_id" in instances:
        yield mean("miou_by_category", instances, "iou", "category")
    if "boundary_iou" in instances and instances["boundary_iou"].notna().any():
        yield mean("boundary_iou", instances[instances["boundary_iou"].notna()], "boundary_iou", average)


def noc(instances: pd.DataFrame, threshold: float) -> Iterator[Number]:
    """Yield for a threshold of 90 noc90, the mean number of clicks to reach it, and failures90, the share in percent
    of the instances that never do (RITM, isegm/inference/utils.py, compute_noc_metric).

    Args:
        instances: one row an instance: image_id, clicks_needed (the most that are given where that isn't enough), and
            reached, whether it is enough.
        threshold: IoU in percent that was to be reached.
    """
    yield mean(f"noc{threshold:g}", instances, "clicks_needed", unit="clicks")
    failed = instances.assign(failed=100.0 * ~instances["reached"].astype(bool))
    yield mean(f"failures{threshold:g}", failed, "failed")


def mean(metric: str, instances: pd.DataFrame, column: str, average: Average = "instance", unit: str = "%") -> Number:
    """Return a column's mean, with its interval by the bootstrap over the images that have instances.

    Raises:
        InputError: for an average that isn't one.
    """
    if average not in get_args(Average):
        raise unknown("average", average, get_args(Average))
    if instances.empty:
        return Number(metric, np.nan, np.nan, np.nan, 0, unit)
    values = instances[column].to_numpy(dtype=np.float64)
    _, image = np.unique(instances["image_id"].to_numpy(), return_inverse=True)
    if average == "category":
        value, low, high = _by_category(values, image, instances["category_id"].to_numpy())
    else:
        sums, counts = (np.bincount(image, weights=weights).astype(np.float64) for weights in (values, None))
        if average == "image":
            sums, counts = sums / counts, np.ones(len(counts))
        value = float(sums.sum() / counts.sum())
        low, high = interval_of_ratio(sums, counts)
    return Number(metric, value, low, high, len(values), unit)


def _by_category(values: Floats, image: NDArray[np.intp], categories: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the mean of the categories' means and its limits; a draw without a category leaves it out."""
    _, category = np.unique(categories, return_inverse=True)
    sums, counts = (sparse.coo_array((data, (image, category))).tocsr() for data in (values, np.ones(len(values))))
    value = float(np.mean(sums.sum(axis=0) / counts.sum(axis=0)))
    if sums.shape[0] < 2:
        return value, np.nan, np.nan
    weights = draws(sums.shape[0])
    with np.errstate(invalid="ignore"):
        drawn = np.nanmean((weights @ sums) / (weights @ counts), axis=1)
    return value, *interval(drawn, value)
