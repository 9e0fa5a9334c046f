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
        pending: list[Any] = []
        spans: list[tuple[str, Any, Any]] = []
        host: dict[str, float] = {}
        ahead: dict[str, float] = {}

        def listener(name: str, prompts: int, seconds: float) -> None:
            end, start = pending.pop(), pending.pop()
            spans.append((name, start, end))
            host[name] = host.get(name, 0.0) + seconds

        self.events.wait()
        with _waiting_by(self.adapter, lambda: pending.append(self.events.record())), _listening(listener, marked):
            began = time.perf_counter()
            first = self.events.record()
            result = call()
            last = self.events.record()
            self.events.wait()
            host_whole = time.perf_counter() - began
        marks: dict[str, float] = {}
        for name, start, end in spans:
            marks[name] = marks.get(name, 0.0) + self.events.seconds(start, end)
        if spans:
            final = spans[-1][0]
            ahead = {name: seconds for name, seconds in host.items() if name != final}
            # The last stage ends with the synchronisation; those before it with a copy to the device, which waits.
            host = {**ahead, final: host_whole - sum(ahead.values())}
        return Timing(self.events.seconds(first, last), marks, host_whole, host, result)


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
