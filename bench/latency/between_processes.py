"""Processes that run the same code differ: memory is laid out anew in each, and a spell of load hits one of them.

So a change must stand out from how far processes of one code are apart, not only from how far the samples of one
process are (Kalibera and Jones, Rigorous benchmarking in reasonable time, ISMM 2013, section 4). Few processes say
little about that; what is known from earlier ones is put to it as in a moderated t-test (Smyth, Statistical
Applications in Genetics and Molecular Biology 3, 2004, section 4).

Where processes were measured in turn, the machine's pulse (bench.latency.pulse) tells which of them met it in the same
state, and only those are held against each other: states are blocks of a design (Box, Hunter and Hunter, Statistics for
Experimenters, chapter 4). What the pulse was within a state says nothing, as it differs between processes by itself.
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

APART = 0.06
"""Neighbouring pulses that are further apart, as a share, are of two states of the machine. Of 228 processes on a host
that leaps between two speeds, neighbours within a state were at most 5 % apart, the states 8 to 15 %."""

LEAST_WEIGHT = 1e-9

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

    Of processes that were measured in turn, their pulses known, it is what those say that met the machine in the same
    state; otherwise the effect as it was, less sure where processes make it so.
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
    """Return the difference between both sides, its standard error, and its degrees of freedom.

    Without a block that holds processes of both sides nothing is known: the error is infinite.
    """
    values = np.array([*processes.base, *processes.new])
    new = np.repeat([0.0, 1.0], [len(processes.base), len(processes.new)])
    blocks = _blocks(processes)
    side, rest = (own - blocks @ np.linalg.lstsq(blocks, own, rcond=None)[0] for own in (new, values))
    weight = float(side @ side)
    if weight < LEAST_WEIGHT:
        return 0.0, float("inf"), WORTH
    change = float(side @ rest) / weight
    residuals = rest - change * side
    freedom = len(values) - int(np.linalg.matrix_rank(blocks)) - 1
    variance = (WORTH * SPREAD**2 + float(residuals @ residuals)) / (WORTH + freedom)
    return change, float(np.sqrt(variance / weight)), WORTH + freedom


def _blocks(processes: Processes) -> Floats:
    """Return (processes, columns) of ones where a process is of a round, and of a state of the machine."""
    counts = len(processes.base), len(processes.new)
    rounds = np.concatenate([np.arange(count) // 2 if processes.rounds else np.zeros(count, int) for count in counts])
    columns = [rounds[:, None] == np.unique(rounds)]
    if processes.rounds and processes.pulses is not None:
        states = _states(np.concatenate(processes.pulses))
        columns.append(states[:, None] == np.unique(states))
    return np.hstack(columns).astype(np.float64)


def _states(pulses: Floats) -> NDArray[np.intp]:
    """Return the number of the state that each process met, of the logarithms of their pulses."""
    order = np.argsort(pulses)
    states = np.empty(len(pulses), np.intp)
    states[order] = np.cumsum(np.diff(pulses[order], prepend=pulses[order[0]]) > APART)
    return states
