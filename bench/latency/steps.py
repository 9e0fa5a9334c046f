"""Steps in a history: where a series of recordings left one level for another.

Asv's rule (asv/step_detect.py; Friedrich et al., Complexity penalized M-estimation, Journal of Computational and
Graphical Statistics 17, 2008): of all ways to cut the series into levels, the one with the least sum of absolute
deviations from the levels' medians, each over its own uncertainty, plus a penalty for each step. Absolute deviations
let a single outlier pass. Unlike asv, which fits the noise, this takes it from the recordings: their intervals, and how
much neighbours differ, which a few steps hardly change.

A level lasts two recordings at least, so a step shows with the second one after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.latency.compare_rule import EFFECT

PENALTY = 3.0
"""In units of ln(recordings), for each step. Schwarz's criterion has 1 for the two numbers that a step adds, place and
level (Yao, Statistics and Probability Letters 6, 1988), but takes the noise as known; with 3, noise alone makes a step
in fewer than 1 of 20 series, short ones included (tests/bench/test_history.py)."""

LEAST_NOISE = 0.005
"""Standard deviation, as a share: no recording is repeated better than that."""

SHORTEST = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        index: of the first recording on the new level.
        before, after: the levels, in the unit of the values.
    """

    index: int
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """The new level by the old one."""
        return self.after / self.before


def steps(values: Sequence[float], low: Sequence[float], high: Sequence[float], minimum: float = EFFECT) -> list[Step]:
    """Return the steps of a series in order.

    Args:
        values: all above 0, in order of time.
        low, high: the 95 % interval of each.
        minimum: the least step that counts, as a share.
    """
    if len(values) < 2 * SHORTEST:
        return []
    logs, limits = np.log(np.asarray(values, dtype=np.float64)), np.log([low, high])
    weights = np.sqrt(2) / _noise(logs, limits)
    ends = _without_small(logs, weights, _best_ends(logs, weights), log(1 + minimum))
    levels = [exp(_median(logs[start:end], weights[start:end])) for start, end in _spans(ends)]
    return [Step(end, levels[number], levels[number + 1]) for number, end in enumerate(ends[:-1])]


def _noise(logs: Floats, limits: Floats) -> Floats:
    """Return each recording's standard deviation: that of its interval, and that between neighbours (by their median
    difference, which steps between a few of them don't change).
    """
    within = np.nan_to_num((limits[1] - limits[0]) / (2 * ndtri(0.975)))
    between = np.median(np.abs(np.diff(logs))) / (ndtri(0.75) * np.sqrt(2))
    return np.asarray(np.maximum(np.hypot(within, LEAST_NOISE), between))


def _best_ends(logs: Floats, weights: Floats) -> list[int]:
    """Return the ends (exclusive) of the levels of least cost, by dynamic programming."""
    count = len(logs)
    penalty = PENALTY * log(count)
    least = np.full(count + 1, np.inf)
    least[0] = -penalty
    before = np.zeros(count + 1, dtype=np.intp)
    for end in range(SHORTEST, count + 1):
        for start in (0, *range(SHORTEST, end - SHORTEST + 1)):
            cost = least[start] + penalty + _cost(logs[start:end], weights[start:end])
            if cost < least[end]:
                least[end], before[end] = cost, start
    ends = [count]
    while before[ends[-1]]:
        ends.append(int(before[ends[-1]]))
    return ends[::-1]


def _without_small(logs: Floats, weights: Floats, ends: list[int], limit: float) -> list[int]:
    """Join levels that differ by less than the limit, those that differ least first."""
    while len(ends) > 1:
        levels = [_median(logs[start:end], weights[start:end]) for start, end in _spans(ends)]
        sizes = np.abs(np.diff(levels))
        if sizes.min() >= limit:
            break
        del ends[int(sizes.argmin())]
    return ends


def _spans(ends: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _cost(logs: Floats, weights: Floats) -> float:
    return float(weights @ np.abs(logs - _median(logs, weights)))


def _median(values: Floats, weights: Floats) -> float:
    """Return the weighted median: it has the least sum of weighted absolute deviations."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
