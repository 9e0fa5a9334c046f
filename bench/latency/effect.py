"""How much a duration changed between two series of samples, and how sure that is.

- The test is Mann's and Whitney's (Annals of Mathematical Statistics 18, 1947) on the raw samples, as in asv
  (asv/_stats.py).
- The effect is the ratio that belongs to that test, Hodges's and Lehmann's: the median of all ratios of a new sample to
  a base sample, with the interval of the ratios that the test doesn't exclude (Hollander and Wolfe, Nonparametric
  Statistical Methods, sections 4.1 to 4.3). Kalibera and Jones ask for a ratio with its interval (Rigorous benchmarking
  in reasonable time, ISMM 2013). Of a series that leaps between two levels, as many do, this ratio is far surer than
  the ratio of medians.
- Samples taken one after the other on a shared machine aren't independent: load comes in spells, clocks drift. Test and
  interval rest on the *effective* size of a series, how many independent samples would say as much: n / τ, τ the
  integrated autocorrelation time of the ranks by the initial positive sequence (Geyer, Practical Markov chain Monte
  Carlo, Statistical Science 7, 1992, section 3.3). On a quiet machine τ is 1; in a drift it is large.
- Images differ, one has more to find than another; so do hours. Where samples are known to belong to blocks, those of
  one image or those taken in one round, each block is compared with itself, which costs a degree of freedom for each
  (Box, Hunter and Hunter, Statistics for Experimenters, chapter 4: block what you can).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

LEVEL = 0.95
_Z = float(ndtri((1 + LEVEL) / 2))

_MOST_PAIRED = 1000
"""Longer series are represented by so many of their quantiles when all pairs of samples are formed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """What became of a duration.

    Attributes:
        ratio: new by base; low, high: its 95 % interval.
        logarithm, error: the ratio's natural logarithm and its standard error.
        p: two-sided, not corrected for several tests.
        samples: of the shorter series.
    """

    ratio: float
    low: float
    high: float
    logarithm: float
    error: float
    p: float
    samples: int


def effect(
    base: Sequence[float],
    new: Sequence[float],
    base_blocks: Sequence[int] | None = None,
    new_blocks: Sequence[int] | None = None,
) -> Effect:
    """Return what became of a duration.

    Args:
        base, new: seconds, all above 0, at least one each, in the order in which they were taken.
        base_blocks, new_blocks: which block each sample belongs to, if known for both.
    """
    first, second = (np.log(np.asarray(own, dtype=np.float64)) for own in (base, new))
    share = 1.0
    if base_blocks is not None and new_blocks is not None:
        first, second, share = _levelled(first, second, np.asarray(base_blocks), np.asarray(new_blocks))
    sizes = [max(1.0, share * len(own) / correlation_time(own)) for own in (first, second)]
    deviation = sqrt((sum(sizes) + 1) / (12 * sizes[0] * sizes[1]))
    differences = np.subtract.outer(_thinned(second), _thinned(first)).ravel()
    logarithm = float(np.median(differences))
    reach = _Z * deviation
    if reach >= 0.5:
        low, high = -inf, inf
    else:
        low, high = (float(own) for own in np.quantile(differences, (0.5 - reach, 0.5 + reach)))
    p = float(2 * ndtr(-abs(_above(first, second) - 0.5) / deviation))
    samples = min(len(base), len(new))
    return Effect(exp(logarithm), exp(low), exp(high), logarithm, (high - low) / (2 * _Z), p, samples)


def relative(of: Effect, reference: Effect) -> Effect:
    """Return what became of a duration's ratio to a reference's, by the normal approximation of the logarithms."""
    logarithm, error = of.logarithm - reference.logarithm, hypot(of.error, reference.error)
    low, high = logarithm - _Z * error, logarithm + _Z * error
    p = float(2 * ndtr(-abs(logarithm) / error)) if error else float(logarithm == 0)
    samples = min(of.samples, reference.samples)
    return Effect(exp(logarithm), exp(low), exp(high), logarithm, error, p, samples)


def correlation_time(values: Floats) -> float:
    """Return τ >= 1: so many samples in a row say as much as one independent sample.

    τ = 2 (Γ₀ + Γ₁ + ...) - 1 with Γₖ = ρ(2k) + ρ(2k+1), summed while they are positive. Ranks, because one spell of
    load is so far above the rest that it would hide how the rest goes on.
    """
    ranks = rankdata(values) - (len(values) + 1) / 2
    spread = float(ranks @ ranks)
    if not spread:
        return 1.0
    transformed = np.fft.rfft(ranks, 2 * len(ranks))
    correlations = np.fft.irfft(transformed * transformed.conj())[: len(ranks)] / spread
    pairs = correlations[: len(ranks) // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    return max(1.0, 2 * float(pairs[: ends[0] if len(ends) else None].sum()) - 1)


def _above(base: Floats, new: Floats) -> float:
    """Return Mann's and Whitney's U / (n m): how often a new sample is above a base sample, ties counting half.

    For samples of the same distribution its mean is 1/2 and its variance (a + b + 1) / (12 a b), a and b the sizes;
    ties make it smaller, which is left out and errs on the safe side.
    """
    n, m = len(base), len(new)
    ranks = rankdata(np.concatenate([base, new]))
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def _thinned(values: Floats) -> Floats:
    if len(values) <= _MOST_PAIRED:
        return values
    return np.asarray(np.quantile(values, (np.arange(_MOST_PAIRED) + 0.5) / _MOST_PAIRED))


def _levelled(
    base: Floats, new: Floats, base_blocks: NDArray[np.int_], new_blocks: NDArray[np.int_]
) -> tuple[Floats, Floats, float]:
    """Take from each sample what belongs to its block, halfway between the block's medians in the two series.

    Returns:
        Both series on the blocks that they share, and the share of the degrees of freedom that is left. Where they
        share less than half of the samples, both as they were.
    """
    shared = np.intersect1d(base_blocks, new_blocks)
    kept = [np.isin(own, shared) for own in (base_blocks, new_blocks)]
    count = sum(int(own.sum()) for own in kept)
    if 2 * count < len(base) + len(new) or count <= len(shared) + 1:
        return base, new, 1.0
    pairs = [(base[kept[0]], base_blocks[kept[0]]), (new[kept[1]], new_blocks[kept[1]])]
    levels = {
        number: float(np.mean([np.median(values[blocks == number]) for values, blocks in pairs])) for number in shared
    }
    levelled = [values - np.array([levels[number] for number in blocks]) for values, blocks in pairs]
    return levelled[0], levelled[1], 1 - (len(shared) - 1) / count
