"""Reading a measurement that others have made: what is compared must hold together."""

from __future__ import annotations

import json
from collections import Counter
from math import isfinite
from pathlib import Path

from adapters.errors import InputError
from bench.latency import compare_benchmarks
from bench.latency.record import Key, Record, Row
from bench.latency.record import read as read_record


def read(path: Path) -> Record:
    """Return the measurement in a file of `sambench latency`, or in one of pytest-benchmark's.

    Raises:
        InputError: where there is no such file, it holds something else, or its rows contradict themselves.
    """
    record = compare_benchmarks.read(path) if _is_of_benchmarks(path) else read_record(path)
    repeated = [key for key, count in Counter(row.key for row in record.rows).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: {named(repeated[0])} is there twice")
    for row in record.rows:
        if row.status == "measured":
            _check(path, row)
    return record


def named(key: Key) -> str:
    """Return in words what a row measures."""
    model, weights, device, dtype, runtime, stage, n_prompts, batch = key
    several = f" x{batch}" if batch > 1 else ""
    return f"{model} {stage}{several} ({weights}, {device}, {dtype}, {runtime}, {n_prompts} prompts)"


def _is_of_benchmarks(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False  # read_record says what is wrong
    return isinstance(content, dict) and "benchmarks" in content


def _check(path: Path, row: Row) -> None:
    if not row.samples:
        raise InputError(f"{path}: {named(row.key)} is called measured but has no samples")
    if not all(isfinite(seconds) and seconds > 0 for seconds in row.samples):
        raise InputError(f"{path}: {named(row.key)} has samples that are no durations")
