"""Processes that run the same code differ: memory is laid out anew in each, and a spell of load hits one of them.

So a change must stand out from how far processes of one code are apart, not only from how far the samples of one
process are (Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM 2013, section 4). Few processes say
little about that; what is known from earlier ones is put to it as in a moderated t-test (Smyth, Statistical
Applications in Genetics and Molecular Biology 3, 2004, section 4).

Where processes were measured in turn, what the machine's pulse tells of each one's time (bench.latency.pulse) is taken
off by analysis of covariance (Cochran, Biometrics 13, 1957).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.latency.effect import LEVEL, Effect

SPREAD, WORTH = 0.015, 8
"""Standard deviation between processes, as a share, that is expected before any is seen, and how many degrees of
freedom that is worth. Memory's layout alone makes 1 or 2 % (Mytkowicz et al., ASPLOS 2009)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Processes:
    """The processes of a comparison's two sides.

    Attributes:
        base, new: the natural logarithm of each process's median.
        rounds: processes were measured in turn, two of each side a round.
        pulses: the natural logarithm of each process's median pulse, of base and of new, if known.
    """

    base: Sequence[float]
    new: Sequence[float]
    rounds: bool = False
    pulses: tuple[Sequence[float], Sequence[float]] | None = None


def processes_of(samples: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Return the natural logarithm of each process's median, of samples in order and how many each process took."""
    parts = np.split(np.log(np.asarray(samples, dtype=np.float64)), np.cumsum(counts)[:-1])
    return [float(np.median(part)) for part in parts]


def beyond_processes(found: Effect, processes: Processes) -> Effect:
    """Return an effect that is as unsure as the spread between processes makes it.

    Of processes that were measured in turn, their pulses known, it is what those say, the pulse allowed for; otherwise
    the effect as it was, less sure where processes make it so.
    """
    change, error, freedom = _side(processes)
    if processes.rounds and processes.pulses is not None:
        ratio = float(np.exp(change))
        found = replace(found, ratio=ratio, low=ratio, high=ratio, logarithm=change, error=0.0, p=0.0)
    p = float(2 * stats.t.sf(abs(found.logarithm) / error, freedom))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    low, high = np.exp([found.logarithm - reach, found.logarithm + reach])
    return replace(
        found,
        p=max(found.p, p),
        low=min(found.low, float(low)),
        high=max(found.high, float(high)),
        error=max(found.error, error),
    )


def _side(processes: Processes) -> tuple[float, float, float]:
    """Return the difference between both sides, its standard error, and its degrees of freedom."""
    values = np.array([*processes.base, *processes.new])
    design = _design(processes)
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ solution
    freedom = len(values) - int(rank)
    variance = (WORTH * SPREAD**2 + float(residuals @ residuals)) / (WORTH + freedom)
    error = float(np.sqrt(variance * np.linalg.pinv(design.T @ design)[0, 0]))
    return float(solution[0]), error, WORTH + freedom


def _design(processes: Processes) -> Floats:
    """Return (processes, columns): which side each is of, which round, and its pulse."""
    counts = len(processes.base), len(processes.new)
    side = np.repeat([0.0, 1.0], counts)
    number = np.concatenate([np.arange(count) // 2 for count in counts]) if processes.rounds else np.zeros(len(side))
    columns = [side, *(number[:, None] == np.unique(number)).T]
    if processes.rounds and processes.pulses is not None:
        pulse = np.concatenate(processes.pulses)
        columns.append(pulse - pulse.mean())
    return np.column_stack(columns).astype(np.float64)
