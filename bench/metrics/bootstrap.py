"""95 % intervals by the bootstrap over images: bias-corrected percentiles (Efron and Tibshirani 1993, section 14.3).

Images, not instances, are drawn: the objects of one image are alike. The correction matters for average precision,
where a draw that repeats images of a rare category scores higher than the whole.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

DRAWS, LEVEL, SEED = 1000, 0.95, 0

Floats = NDArray[np.float64]


@lru_cache(maxsize=2)
def draws(images: int, count: int = DRAWS) -> NDArray[np.int64]:
    """Return (count, images): how often each image is drawn, with replacement. Always the same for the same sizes."""
    if not images:
        return np.zeros((count, 0), dtype=np.int64)
    return np.random.default_rng(SEED).multinomial(images, np.full(images, 1 / images), size=count)


def interval(drawn: Floats, value: float) -> tuple[float, float]:
    """Return the limits for a value, given the (B,) values of the draws; NaN draws are left out."""
    valid = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(valid):
        return np.nan, np.nan
    below = np.mean(valid < value) + np.mean(valid == value) / 2
    bias = ndtri(np.clip(below, 0.5 / len(valid), 1 - 0.5 / len(valid)))
    tail = ndtri((1 - LEVEL) / 2)
    low, high = np.quantile(valid, ndtr([2 * bias + tail, 2 * bias - tail]))
    return float(low), float(high)


def interval_of_ratio(numerators: Floats, denominators: Floats) -> tuple[float, float]:
    """Return limits for one sum over images divided by another, such as a mean over instances or a recall.

    A single image that counts has no spread: the limits are NaN.
    """
    if np.count_nonzero(denominators) < 2:
        return np.nan, np.nan
    weights = draws(len(numerators)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ numerators) / (weights @ denominators)
        return interval(drawn, float(numerators.sum() / denominators.sum()))
