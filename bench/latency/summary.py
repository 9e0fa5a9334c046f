"""What is said of a row's samples: the median and its interval, and the slow end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS, LEVEL, SEED = 1000, 0.95, 0


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median by the percentile bootstrap, always the same for the same samples."""
    values = np.asarray(samples, dtype=np.float64)
    drawn = np.random.default_rng(SEED).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(np.median(values[drawn], axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Return median, p90, p99, low and high of samples, in their unit."""
    low, high = median_interval(samples)
    median, p90, p99 = (float(value) for value in np.quantile(samples, (0.5, 0.9, 0.99)))
    return {"median": median, "p90": p90, "p99": p99, "low": low, "high": high}
