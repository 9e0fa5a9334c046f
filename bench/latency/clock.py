"""Timing one call, by the host's clock or by a CUDA device's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters import devices
from adapters.adapter import Adapter
from adapters.stages import listening

_JUST = 5e-6
"""Seconds between a stage's first mark and the reading of the clock that follows it, at most."""


@dataclass
class Timing:
    """What one call took, in seconds.

    Attributes:
        whole: the call, until the device had finished.
        marks: each of the stages marked in it (adapters.stages), added up.
        host_whole, host_marks: on a CUDA device, the same by the host's clock.
        result: what the call returned.
    """

    whole: float
    marks: dict[str, float]
    host_whole: float | None = None
    host_marks: dict[str, float] = field(default_factory=dict)
    result: Any = None

    def of(self, mark: str | None) -> float:
        """Return the time of a marked stage, of the whole call for None."""
        return self.whole if mark is None else self.marks[mark]

    def host_of(self, mark: str | None) -> float | None:
        """Return the same by the host's clock, None where that is the clock anyway."""
        return self.host_whole if mark is None else self.host_marks.get(mark)


class Clock(Protocol):
    """Times a call; with ``marked``, the stages in it as well."""

    def time(self, call: Callable[[], Any], marked: bool) -> Timing:
        """Call, and return what it took."""


def clock_for(adapter: Adapter) -> Clock:
    """Return the clock of an adapter's device."""
    return CudaClock(adapter) if devices.kind(adapter.device) == "cuda" else HostClock()


class HostClock:
    """time.perf_counter; adapters on a CPU have finished when they return."""

    def time(self, call: Callable[[], Any], marked: bool) -> Timing:
        """Call, and return what it took."""
        marks: dict[str, float] = {}

        def listener(name: str, prompts: int, seconds: float) -> None:
            marks[name] = marks.get(name, 0.0) + seconds

        if not marked:
            start = time.perf_counter()
            result = call()
            return Timing(time.perf_counter() - start, marks, result=result)
        with listening(listener):
            start = time.perf_counter()
            result = call()
            whole = time.perf_counter() - start
        return Timing(whole, marks, result=result)


class Events(Protocol):
    """What the CUDA clock asks of the device: torch.cuda's events, or a stand-in for them."""

    def record(self) -> Any:
        """Put an event into the stream, and return it."""

    def wait(self) -> None:
        """Return when the device has finished what it was given."""

    def seconds(self, start: Any, end: Any) -> float:
        """Return the time between two events that have happened."""


class CudaClock:
    """Events in the device's stream, and one synchronisation at the end of the call.

    Adapters mark a stage by waiting for the device before and after it. While a call is timed their waiting becomes an
    event, so that marking stages doesn't empty the device's queue.
    """

    def __init__(self, adapter: Adapter, events: Events | None = None) -> None:
        self.adapter = adapter
        self.events = events or _TorchEvents(adapter.device)

    def time(self, call: Callable[[], Any], marked: bool) -> Timing:
        """Call, and return what it took."""
        marker = _Marker(self.events)
        self.events.wait()
        with _waiting_by(self.adapter, marker.mark), _listening(marker.listener, marked):
            began = time.perf_counter()
            first = self.events.record()
            result = call()
            last = self.events.record()
            self.events.wait()
            host_whole = time.perf_counter() - began
        return Timing(
            self.events.seconds(first, last), marker.seconds(), host_whole, marker.by_host(host_whole), result
        )


class _Marker:
    """Events where stages begin and end."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._open: list[tuple[float, Any]] = []
        self._spans: list[tuple[str, Any, Any]] = []
        self._host: dict[str, float] = {}
        self._unmarked: dict[str, float] = {}

    def mark(self) -> None:
        self._open.append((time.perf_counter(), self.events.record()))

    def listener(self, name: str, prompts: int, seconds: float) -> None:
        began = time.perf_counter() - seconds
        self._host[name] = self._host.get(name, 0.0) + seconds
        if len(self._open) >= 2 and self._open[-1][0] >= began - _JUST:
            (_, end), (_, start) = self._open.pop(), self._open.pop()
            self._spans.append((name, start, end))
        else:  # a stage that doesn't wait for the device leaves no events: it works on the host
            self._unmarked[name] = self._unmarked.get(name, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        marks = dict(self._unmarked)
        for name, start, end in self._spans:
            marks[name] = marks.get(name, 0.0) + self.events.seconds(start, end)
        return marks

    def by_host(self, whole: float) -> dict[str, float]:
        """Return the stages by the host's clock: the last one ends with the call's synchronisation.

        Those before it end when their work is queued, or copied to the device, which waits.
        """
        if not self._host:
            return {}
        *ahead, last = self._host
        return {**self._host, last: whole - sum(self._host[name] for name in ahead)}


@contextmanager
def _listening(listener: Callable[[str, int, float], None], marked: bool) -> Iterator[None]:
    if not marked:
        yield
        return
    with listening(listener):
        yield


@contextmanager
def _waiting_by(adapter: Adapter, wait: Callable[[], None]) -> Iterator[None]:
    adapter.__dict__["wait"] = wait
    try:
        yield
    finally:
        del adapter.__dict__["wait"]


class _TorchEvents:
    def __init__(self, device: str) -> None:
        self.device = device

    def record(self) -> Any:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def wait(self) -> None:
        devices.wait(self.device)

    def seconds(self, start: Any, end: Any) -> float:
        return float(start.elapsed_time(end)) / 1000
