"""Warming up until times are steady, then taking samples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.latency.clock import Clock, Timing
from bench.latency.digest import Digest
from bench.latency.pulse import Beat, Pulse
from bench.latency.stages import Stage
from bench.latency.tasks import Task

LEAST_WARMUPS, MOST_WARMUPS = 3, 30
WINDOW, TOLERANCE = 5, 0.02
"""Times are steady once the median of a window is within the tolerance of that of the window before."""

LEAST_SAMPLES = 5

RULE = (
    f"after the first call at most {MOST_WARMUPS}, until the median of {WINDOW} is within {TOLERANCE:.0%} of that"
    f" of the {WINDOW} before; cut short, and not settled,"
    f" when a stage's seconds are over, after {LEAST_WARMUPS} at least"
)


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    Attributes:
        samples: asked for.
        seconds: a stage whose warm-up has taken so long isn't warmed up further; one whose samples have is content with
            LEAST_SAMPLES.
    """

    samples: int
    seconds: float


@dataclass
class Measured:
    """What was measured of one stage, in seconds.

    Attributes:
        first: the first call.
        warmups: calls after it that don't count; settled: whether they had become steady.
        samples: those that count; host_samples: the same by the host's clock, on a CUDA device.
        pulses: of the machine, taken between the samples (bench.latency.pulse).
        digest: of the masks that calls gave.
    """

    first: float
    warmups: int = 0
    settled: bool = False
    samples: list[float] = field(default_factory=list)
    host_samples: list[float] | None = None
    pulses: list[float] = field(default_factory=list)
    digest: str | None = None


def measure(
    task: Task, clock: Clock, amount: Amount, alive: Callable[[], None] = lambda: None, beat: Beat | None = None
) -> dict[Stage, Measured]:
    """Time a task's calls on input after input.

    Args:
        task: what to time.
        clock: how.
        amount: how much.
        alive: called between calls; raises where nobody waits for the result any more.
        beat: the fixed calculation that tells how fast the machine is meanwhile.
    """
    timer, pulse = _Timer(task, clock, alive), Pulse(beat)
    with no_collecting():
        first = timer.once()
        warm, steady = warm_up(lambda: timer.once().whole, amount.seconds)
        timings: list[Timing] = []
        while _more(timings, amount):
            pulse.when_due()
            timings.append(timer.once())
        pulse.burst()
    digest = None if task.masks is None else str(timer.digest)
    return {
        stage: Measured(
            first.of(mark),
            len(warm),
            steady,
            [timing.of(mark) for timing in timings],
            _by_host(timings, mark),
            pulse.seconds,
            digest,
        )
        for stage, mark in task.marks.items()
    }


def warm_up(once: Callable[[], float], seconds: float) -> tuple[list[float], bool]:
    """Call until times are steady, or until that has taken long enough; return the times, and whether they are."""
    times: list[float] = []
    while len(times) < MOST_WARMUPS:
        if len(times) >= LEAST_WARMUPS and sum(times) >= seconds:
            return times, False
        times.append(once())
        if settled(times):
            return times, True
    return times, False


def settled(times: Sequence[float]) -> bool:
    """Return whether times have become steady."""
    if len(times) < 2 * WINDOW:
        return False
    last, before = median(times[-WINDOW:]), median(times[-2 * WINDOW : -WINDOW])
    return abs(last - before) <= TOLERANCE * before


@contextmanager
def no_collecting() -> Iterator[None]:
    """Keep the garbage collector from running, after it has run once."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Timer:
    """Makes the calls of a task, each on the next input."""

    def __init__(self, task: Task, clock: Clock, alive: Callable[[], None]) -> None:
        self.task, self.clock, self.alive = task, clock, alive
        self.marked = any(mark is not None for mark in task.marks.values())
        self.digest, self.number = Digest(), 0

    def once(self) -> Timing:
        self.alive()
        task, given = self.task, self.task.prepare(self.number)
        timing = self.clock.time(lambda: task.call(given), self.marked)
        if task.masks is not None:
            self.digest.add(self.number % task.rotation, task.masks(timing.result))
        if task.keep is not None:
            task.keep(self.number, timing.result)
        self.number += 1
        timing.result = None
        return timing


def _more(timings: Sequence[Timing], amount: Amount) -> bool:
    if len(timings) < min(LEAST_SAMPLES, amount.samples):
        return True
    return len(timings) < amount.samples and sum(timing.whole for timing in timings) < amount.seconds


def _by_host(timings: Sequence[Timing], mark: str | None) -> list[float] | None:
    taken = [timing.host_of(mark) for timing in timings]
    known = [seconds for seconds in taken if seconds is not None]
    return known if taken and len(known) == len(taken) else None
