"""Working a measurement off: one fresh process after the other, while this one sleeps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from adapters.errors import InputError
from bench.latency.environment import state
from bench.latency.measure import LEAST_SAMPLES
from bench.latency.merge import merged, shared_out
from bench.latency.record import Key, Record, Row, now
from bench.latency.spec import Spec

OnRow = Callable[[Row], None]

PATIENCE = 3
"""A condition whose first process took so many times a stage's seconds is measured in that one alone."""


def execute(
    record: Record,
    specs: Sequence[Spec],
    path: Path,
    on_row: OnRow = lambda row: None,
    python: str = sys.executable,
    processes: int = 1,
) -> None:
    """Measure what of the specs the record lacks; the file is written whole after every row.

    A failed row stays; one whose process was killed is missing, and the next attempt measures it. A row that not all of
    its processes have measured when the attempt ends stays as it is.

    Args:
        record: holds a row for each stage of each spec.
        specs: what to measure.
        path: the file.
        on_row: told of each row that a process has finished, with what those before it measured.
        python: the interpreter, of this environment or of another that has sambench.
        processes: that share the samples of a condition, one after the other; fewer where it takes long, and so few
            that each takes LEAST_SAMPLES.
    """
    record.status, record.error = "running", None
    record.write(path)
    try:
        for spec in specs:
            for row in _rows(_remaining(spec, record), python, processes):
                record.put(row)
                record.write(path)
                on_row(row)
    except BaseException as error:
        record.status, record.error = "stopped", str(error) or type(error).__name__
        raise
    else:
        record.status = "stopped" if record.missing else "complete"
        record.error = next((row.reason for row in record.missing if row.reason), None)
        record.finished = now()
    finally:
        record.environment |= state("after", specs[0].device if specs else "cpu")
        record.write(path)


def child_rows(spec: Spec, python: str = sys.executable) -> Iterator[Row]:
    """Yield the rows of a spec as a fresh process measures them.

    Rows that the process doesn't come to, it being killed, come last, missing; where it ended by an error, failed.
    """
    left = {row.key: row for row in spec.rows()}
    with tempfile.TemporaryFile("w+") as errors:
        child = _started(spec, python, errors)
        reason = None
        try:
            assert child.stdout is not None
            for line in child.stdout:
                content = json.loads(line)
                if "row" in content:
                    row = Row.model_validate(content["row"])
                    left.pop(row.key, None)
                    yield row
                reason = content.get("failed", reason)
            status = child.wait()
        finally:
            child.kill()
            child.wait()
        ending = {"status": "failed", "reason": reason or _last_line(errors)}
    if status < 0:
        killed = signal.Signals(-status).name
        ending = {"status": "missing", "reason": f"the measuring process was ended by {killed}"}
    yield from (row.model_copy(update=ending) for row in left.values())


def _rows(spec: Spec | None, python: str, processes: int) -> Iterator[Row]:
    if spec is None:
        return
    processes = min(processes, max(1, spec.samples // LEAST_SAMPLES))
    found: dict[Key, list[Row]] = {}
    began = time.monotonic()
    for _ in range(processes):
        for row in child_rows(shared_out(spec, processes), python):
            found.setdefault(row.key, []).append(row)
            yield merged(found[row.key])
        if time.monotonic() - began > PATIENCE * spec.seconds:
            return


def _remaining(spec: Spec, record: Record) -> Spec | None:
    """Return the part of a spec that the record lacks."""
    missing = {row.key for row in record.missing}
    names = tuple(row.stage for row in spec.rows() if row.key in missing)
    return spec.model_copy(update={"stages": names}) if names else None


def _started(spec: Spec, python: str, errors: IO[str]) -> subprocess.Popen[str]:
    command = [python, "-m", "bench.latency.child"]
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise InputError(f"{python} can't be started ({error})") from None
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(spec.model_dump_json())
    return child


def _last_line(errors: IO[str]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    return lines[-1] if lines else "the measuring process ended without a word"
