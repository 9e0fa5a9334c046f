"""Two models on the same instances: the difference of their means, its interval, and how likely chance makes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.errors import InputError
from bench.metrics.bootstrap import LEVEL, SEED
from bench.metrics.mean_iou import Average, mean

KEYS = ["image_id", "annotation_id"]
FLIPS = 9999
_ELEMENTS = 10_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """First minus second.

    Attributes:
        value, low, high: the difference of the means in percentage points, and its 95 % interval.
        p: two-sided; how often chance alone would make so great a difference.
        n, images: how many instances both models have, in how many images.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    images: int

    @property
    def told_apart(self) -> bool:
        """Whether the interval excludes 0 and the test agrees; with few images the interval alone is too sure."""
        return (self.low > 0 or self.high < 0) and self.p < 1 - LEVEL

    def sentence(self, first: str, second: str, better: str = "is better than") -> str:
        """Say in words which is better, and by how much, or that it can't be said."""
        counted = f"({self.n} instances, {self.images} images)"
        if not self.told_apart:
            return f"{first} and {second} can't be told apart: {_limits(self.value, self.low, self.high)} {counted}"
        if self.value > 0:
            return f"{first} {better} {second} by {_limits(self.value, self.low, self.high)} points {counted}"
        return f"{second} {better} {first} by {_limits(-self.value, -self.high, -self.low)} points {counted}"


def paired(first: pd.DataFrame, second: pd.DataFrame, column: str = "iou", average: Average = "instance") -> Difference:
    """Compare two models on the instances that both have a number for.

    The interval is the bootstrap over images, with the same images drawn for both. The p-value is a permutation test:
    if the models were alike, which is which could be exchanged image by image, and the difference of an image would be
    as likely with the other sign (Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3).

    Args:
        first, second: one row an instance: image_id, annotation_id, category_id (for that average alone), the column.
        column: in percent.
        average: what counts alike.

    Raises:
        InputError: where a column is missing, instances are repeated, or none is common to both.
    """
    common = _common(first, second, column, average)
    number = mean("difference", common, "difference", average)
    shares = _shares(common, average)
    return Difference(number.value, number.low, number.high, _chance(shares), number.n, len(shares))


def _common(first: pd.DataFrame, second: pd.DataFrame, column: str, average: Average) -> pd.DataFrame:
    """Return the instances of both, with the difference of the column."""
    groups = ["category_id"] if average == "category" else []
    parts = []
    for frame, columns in ((first, [*KEYS, *groups, column]), (second, [*KEYS, column])):
        if missing := [name for name in columns if name not in frame]:
            raise InputError(f"instances to compare have no column {missing[0]!r}")
        if frame.duplicated(KEYS).any():
            raise InputError("instances to compare are repeated: choose one model and one task on each side")
        parts.append(frame[columns].dropna(subset=[column]))
    common = parts[0].merge(parts[1], on=KEYS, suffixes=("", "_second"))
    if common.empty:
        raise InputError(f"the two have no instance in common that both have {column!r} for")
    return common.assign(difference=common[column] - common[f"{column}_second"])


def _shares(common: pd.DataFrame, average: Average) -> Floats:
    """Return what each image adds to the difference of the means: (images,) that add up to it."""
    if average == "instance":
        weights = np.full(len(common), 1 / len(common))
    else:
        group = common["image_id" if average == "image" else "category_id"]
        weights = 1 / (group.nunique() * group.map(group.value_counts()).to_numpy(dtype=np.float64))
    _, image = np.unique(common["image_id"].to_numpy(), return_inverse=True)
    return np.bincount(image, weights=weights * common["difference"].to_numpy(dtype=np.float64)).astype(np.float64)


def _chance(shares: Floats) -> float:
    """Return the two-sided p-value of the sum of the images' shares, their signs exchanged FLIPS times.

    The data as they are count as one more exchange, so that p is never 0 and the test never too sure.
    """
    generator = np.random.default_rng(SEED)
    least = abs(shares.sum()) * (1 - 1e-9)
    step = max(1, _ELEMENTS // len(shares))
    extreme = 0
    for start in range(0, FLIPS, step):
        size = (min(step, FLIPS - start), len(shares))
        signs = 1.0 - 2.0 * generator.integers(0, 2, size=size, dtype=np.int8)
        extreme += int(np.count_nonzero(np.abs(signs @ shares) >= least))
    return (extreme + 1) / (FLIPS + 1)


def _limits(value: float, low: float, high: float) -> str:
    return f"{value:z.1f} [{low:z.1f}, {high:z.1f}]"
