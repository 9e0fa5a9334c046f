"""Several tests at once: Holm's correction (A simple sequentially rejective multiple test procedure, 1979)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number: the level then bounds the chance of any false find."""
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(values, dtype=np.float64)[order] * factors))
    return [float(value) for value in corrected]
