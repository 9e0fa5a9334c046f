"""When a row counts as slower or faster.

A row is *slower* or *faster* if all of these hold:

- The test (bench.latency.effect) finds a difference at 1 %, corrected over all rows of the comparison (Holm,
  Scandinavian Journal of Statistics 6, 1979). pyperf tests at 5 %, asv at 0.2 %, each row for itself.
- The ratio is at least the minimum effect away from 1, 3 % if nothing else is asked for. Two processes that run the
  same code differ by 1 or 2 % through the layout of their memory alone (Mytkowicz et al., Producing wrong data without
  doing anything obviously wrong, ASPLOS 2009); pyperf's --min-speed and asv's factor are there for the same reason.
- The machine's pulse (bench.latency.pulse) doesn't explain it: what remains of the change after MARGIN times what the
  pulse changed by, in the same direction, is still the minimum effect. A machine under other load doesn't slow all
  stages alike, hence a margin. Of processes measured in turn those are held against each other instead that
  met the machine in the same state (bench.latency.between_processes).

It is the *same* if the ratio's 95 % interval lies within the minimum effect on both sides. Otherwise one *can't tell*
yet.

Where the pulse changed, two processes in turn (sambench latency --against) tell more, as what is slower for a while is
then slower for both.
"""

from __future__ import annotations

from math import ceil, log
from typing import Literal

from scipy.special import ndtri

from bench.latency.effect import LEVEL, Effect

EFFECT, ALPHA, POWER = 0.03, 0.01, 0.95

MARGIN = 1.5
"""While a machine was slowed from outside, in two minutes recorded on it, stages changed by 0.5 to 1.2 times as much as
the pulse."""

LEAST_SAMPLES = 10
"""With fewer on either side the test's normal approximation says too little."""

MOST_SAMPLES = 10_000
"""More are never asked for: what takes so many is undecided because it lies on the limit itself."""

Verdict = Literal["slower", "faster", "same", "can't tell"]


def verdict(found: Effect, p: float, minimum: float = EFFECT, drift: float = 0.0) -> Verdict:
    """Return what became of a row.

    Args:
        found: the effect.
        p: of its test, corrected.
        minimum: the least effect that counts, as a share: 0.03 means ratios from 1.03 up and from 1 / 1.03 down.
        drift: the natural logarithm of what the pulse changed by.
    """
    if found.samples < LEAST_SAMPLES:
        return "can't tell"
    if p < ALPHA and abs(found.logarithm) >= log(1 + minimum):
        if explained(found, minimum, drift):
            return "can't tell"
        return "slower" if found.logarithm > 0 else "faster"
    return "same" if 1 / (1 + minimum) < found.low and found.high < 1 + minimum else "can't tell"


def explained(found: Effect, minimum: float, drift: float) -> bool:
    """Return whether the pulse's change leaves less than the minimum effect of a row's; see :func:`verdict`."""
    along = drift if found.logarithm > 0 else -drift
    return abs(found.logarithm) - MARGIN * max(0.0, along) < log(1 + minimum)


def more_samples(found: Effect, p: float, minimum: float = EFFECT) -> int:
    """Return about how many more samples on each side it takes to tell: MOST_SAMPLES at most.

    Normal deviates grow with the root of the number of samples, and the test at ALPHA finds an effect with POWER once
    its deviate is z(1 - ALPHA/2) + z(POWER) (Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988). That
    effect is the one that was seen, if its interval excludes 1. Otherwise it is the minimum one, and the interval
    around the ratio must also become so short that it no longer holds the limit.

    Args:
        found: the effect.
        p: of its test, corrected.
        minimum: as for the verdict.
    """
    size, limit = abs(found.logarithm), log(1 + minimum)
    wanted = ndtri(1 - ALPHA / 2) + ndtri(POWER)
    if size >= limit and (found.low > 1 or found.high < 1):
        times = float(wanted / max(-ndtri(p / 2), 1 / MOST_SAMPLES))
    else:
        away = max(abs(size - limit) / ndtri((1 + LEVEL) / 2), 1 / MOST_SAMPLES)
        times = float(found.error / min(limit / wanted, away))
    return max(1, LEAST_SAMPLES - found.samples, ceil(min(found.samples * (times**2 - 1), MOST_SAMPLES)))
