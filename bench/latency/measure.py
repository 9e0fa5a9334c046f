"""Warming up until times are steady, then taking samples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.latency.clock import Clock, Timing
from bench.latency.digest import Digest
from bench.latency.stages import Stage
from bench.latency.tasks import Task

LEAST_WARMUPS, MOST_WARMUPS = 3, 30
WINDOW, TOLERANCE = 5, 0.02
"""Times are steady once the median of a window is within the tolerance of the window before."""

LEAST_SAMPLES = 5


@dataclass(frozen=True)
class Amount:
    """How much is measured.

    Attributes:
        samples: asked for.
        seconds: once a stage has taken so long, its warm-up ends, and its samples do when LEAST_SAMPLES are there.
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
        digest: of the masks that calls gave.
    """

    first: float
    warmups: int = 0
    settled: bool = False
    samples: list[float] = field(default_factory=list)
    host_samples: list[float] | None = None
    digest: str | None = None


def settled(times: Sequence[float]) -> bool:
    """Return whether times have become steady: the last window's median is that of the window before."""
    if len(times) < 2 * WINDOW:
        return False
    last, before = median(times[-WINDOW:]), median(times[-2 * WINDOW : -WINDOW])
    return abs(last - before) <= TOLERANCE * before


def measure(
    task: Task,
    clock: Clock,
    amount: Amount,
    alive: Callable[[], None] = lambda: None,
    keep: Callable[[int, Any], None] = lambda number, result: None,
) -> dict[Stage, Measured]:
    """Time a task's calls on input after input.

    Args:
        task: what to time.
        clock: how.
        amount: how much.
        alive: called between calls; raises where nobody waits for the result any more.
        keep: (call number, result), called after each call, outside the timing.
    """
    digest, marked = Digest(), any(mark is not None for mark in task.marks.values())
    number = 0

    def once() -> Timing:
        nonlocal number
        alive()
        given = task.prepare(number)
        timing = clock.time(lambda: task.call(given), marked)
        if task.masks is not None:
            digest.add(number, task.masks(timing.result))
        keep(number, timing.result)
        timing.result = None
        number += 1
        return timing

    with no_collecting():
        first = once()
        spent, warm = first.whole, [] if first is None else _Warmup()
    raise NotImplementedError


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
