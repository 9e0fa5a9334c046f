"""Mean IoU over instances, by size class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.metrics.bootstrap import interval_of_ratio
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


def mean_ious(instances: pd.DataFrame) -> Iterator[Number]:
    """Yield miou, miou_small, miou_medium, miou_large, then the same with _single and _oracle, in percent.

    Args:
        instances: one row an instance: image_id, area, and the columns of CHOICES.
    """
    for column in CHOICES:
        suffix = column.removeprefix("iou")
        for size, (low, high) in SIZES.items():
            chosen = instances[(instances["area"] >= low) & (instances["area"] <= high)]
            yield _mean(f"miou{size}{suffix}", chosen["image_id"].to_numpy(), chosen[column].to_numpy())


def _mean(metric: str, image_ids: NDArray[np.int64], values: NDArray[np.float64]) -> Number:
    if not len(values):
        return Number(metric, np.nan, np.nan, np.nan, 0)
    _, image = np.unique(image_ids, return_inverse=True)
    sums, counts = (np.bincount(image, weights=weights).astype(np.float64) for weights in (values, None))
    low, high = interval_of_ratio(sums, counts)
    return Number(metric, float(sums.sum() / counts.sum()), low, high, len(values))
