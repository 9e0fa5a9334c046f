"""Where an adapter's work is marked, so that whoever wants to can time its stages apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, float], None]

_listener: ContextVar[Listener | None] = ContextVar("stage_listener", default=None)


@contextmanager
def stage(name: str, prompts: int = 0, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Mark the block as one stage of an adapter's work. Costs nothing when nobody listens.

    Args:
        name: preprocess, encode, decode, postprocess, everything or ground.
        prompts: how many prompts the stage works on.
        wait: returns when the device has finished what it was given; called before both clock readings.
    """
    listener = _listener.get()
    if listener is None:
        yield
        return
    if wait is not None:
        wait()
    start = time.perf_counter()
    yield
    if wait is not None:
        wait()
    listener(name, prompts, time.perf_counter() - start)


@contextmanager
def unheard() -> Iterator[None]:
    """Let nobody hear the stages within the block: their time belongs to the stage around it."""
    token = _listener.set(None)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(name, prompts, seconds)`` after every stage within the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
