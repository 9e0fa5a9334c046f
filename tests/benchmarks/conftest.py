"""Benchmarks run when they are asked for: pytest tests/benchmarks --benchmark-enable, or tox -e bench."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out of the ordinary tests."""
    if not config.getoption("benchmark_enable"):
        for item in items:
            if "benchmarks" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="benchmarks run with --benchmark-enable"))


@pytest.fixture
def compare(benchmark) -> Callable[..., float]:
    """Return a function that times ours and theirs in turn, in one process, and returns how many times faster ours is.

    Both run with the allocator as the system has it; `sambench run` makes ours faster still (adapters.memory).
    The ratio is the median of the pairs, kept in the benchmark's record.
    """

    def compared(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = 3) -> float:
        own: list[float] = []
        other: list[float] = []

        def pair() -> None:
            for run, seconds in ((theirs, other), (ours, own)):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)

        for _ in range(rounds):
            pair()
        benchmark.pedantic(ours, rounds=1)
        ratios = [slow / fast for slow, fast in zip(other, own, strict=True)]
        benchmark.extra_info.update(ours_s=own, theirs_s=other, ratios=ratios, ratio=median(ratios))
        print(f"\n{benchmark.name}: {median(ratios):.2f} times faster ({median(other):.2f} s, {median(own):.2f} s)")
        return median(ratios)

    return compared
