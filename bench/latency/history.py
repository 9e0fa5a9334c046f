"""The history of a machine's medians: results/<machine>/<condition>.csv, small enough to be reviewed in git."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench
from adapters.errors import InputError
from bench.files import write_whole
from bench.latency.record import Record, Row
from bench.latency.steps import Step, steps

COLUMNS = ("date", "revision", "model", "weights", "stage", "n_prompts", "batch", "median_ms", "low_ms", "high_ms", "n",
           "torch", "threads")  # fmt: skip
"""date is when the measurement began, UTC; low_ms and high_ms are the 95 % interval of the median; n counts samples."""

IDENTITY = ("model", "weights", "stage", "n_prompts", "batch", "threads")
"""What tells the series of one file apart. The version of torch may change along a series, and make a step."""


@dataclass(frozen=True)
class History:
    """One stage of one model under one condition, in order of time.

    Attributes:
        machine, condition: the names of folder and file.
        model, weights, stage, n_prompts, batch, threads: as recorded.
        dates, revisions, torch: of each recording.
        medians, low, high: in ms.
    """

    machine: str
    condition: str
    model: str
    weights: str
    stage: str
    n_prompts: str
    batch: str
    threads: str
    dates: list[str]
    revisions: list[str]
    torch: list[str]
    medians: list[float]
    low: list[float]
    high: list[float]

    @property
    def title(self) -> str:
        """What it is the history of, in words."""
        several = f", batch {self.batch}" if self.batch != "1" else ""
        return f"{self.model} {self.stage}{several} ({self.weights}), {self.machine}, {self.condition}"

    def steps(self) -> list[Step]:
        """Return its steps (bench.latency.steps), in ms."""
        return steps(self.medians, self.low, self.high)


def append(record: Record, root: Path, revision: str | None = None) -> list[Path]:
    """Add a measurement's medians to the histories of its machine; a measurement that is there already isn't repeated.

    Args:
        record: of which the rows that were measured are taken.
        root: the folder results.
        revision: of the code that was measured; what is installed here, if None.

    Returns:
        The files that were written or already held it all.

    Raises:
        InputError: where nothing is measured, or a file there is no history.
    """
    measured = [row for row in record.rows if row.status == "measured"]
    if not measured:
        raise InputError("nothing to record: no row is measured")
    revision = revision or installed_revision()
    by_file: dict[Path, list[dict[str, str]]] = {}
    for row in measured:
        file = root / machine_name(record) / f"{_slug(row.device)}-{row.dtype}-{_slug(row.runtime)}.csv"
        by_file.setdefault(file, []).append(_line(record, row, revision))
    for file, lines in by_file.items():
        known = _lines(file) if file.is_file() else []
        there = {_place(line) for line in known}
        write_whole(file, _text([*known, *(line for line in lines if _place(line) not in there)]))
    return list(by_file)


def machine_name(record: Record) -> str:
    """Return a machine's name for a folder: the GPU if one was used, the CPU, how many cores."""
    machine = record.machine
    parts = [machine.get("gpu"), machine.get("cpu") or "unknown", f"{machine.get('cores') or 'unknown'}-cores"]
    return "-".join(_slug(str(part)) for part in parts if part)


def installed_revision() -> str:
    """Return git's description of the checkout that this code lies in, or the package's version where it is in none."""
    place = Path(bench.__file__)
    try:
        tracked = ("git", "-C", str(place.parent), "ls-files", "--error-unmatch", place.name)
        subprocess.run(tracked, capture_output=True, check=True)
        described = ("git", "-C", str(place.parent), "describe", "--always", "--dirty", "--tags")
        return subprocess.run(described, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return bench.__version__


def histories(root: Path) -> list[History]:
    """Return all histories below a folder.

    Raises:
        InputError: where there is none, or a file is damaged.
    """
    found = [history for file in sorted(root.glob("*/*.csv")) if _is_history(file) for history in _histories(file)]
    if not found:
        raise InputError(f"no history in {root}: sambench latency --record begins one")
    return found


def _histories(file: Path) -> Iterator[History]:
    series: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for line in sorted(_lines(file), key=lambda line: line["date"]):
        series.setdefault(tuple(line[name] for name in IDENTITY), []).append(line)
    for lines in series.values():
        try:
            medians, low, high = ([float(line[name]) for line in lines] for name in ("median_ms", "low_ms", "high_ms"))
        except ValueError as error:
            raise InputError(f"{file}: {error}") from None
        if not all(0 < value < float("inf") for value in (*medians, *low, *high)):
            raise InputError(f"{file}: durations must be above 0")
        yield History(
            machine=file.parent.name,
            condition=file.stem,
            **{name: lines[0][name] for name in IDENTITY},
            dates=[line["date"] for line in lines],
            revisions=[line["revision"] for line in lines],
            torch=[line["torch"] for line in lines],
            medians=medians,
            low=low,
            high=high,
        )


def _line(record: Record, row: Row, revision: str) -> dict[str, str]:
    versions = record.environment.get("versions") or {}
    times = [f"{1000 * (value or 0):.6g}" for value in (row.median, row.low, row.high)]
    values = (
        record.started,
        revision,
        row.model,
        row.weights,
        row.stage,
        row.n_prompts,
        row.batch,
        *times,
        len(row.samples),
        versions.get("torch", ""),
        record.environment.get("threads", ""),
    )
    return dict(zip(COLUMNS, map(str, values), strict=True))


def _place(line: dict[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in ("date", *IDENTITY))


def _lines(file: Path) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(file.read_text("utf-8")))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InputError(f"{file} is no history: its columns aren't {','.join(COLUMNS)}")
    lines = list(reader)
    for number, line in enumerate(lines, start=2):
        if None in line or None in line.values():
            raise InputError(f"{file}: line {number} hasn't {len(COLUMNS)} values")
    return lines


def _is_history(file: Path) -> bool:
    """Return whether a file means to be a history; results/ holds other tables as well."""
    with file.open(encoding="utf-8") as opened:
        return opened.readline().startswith(f"{COLUMNS[0]},{COLUMNS[1]},")


def _text(lines: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")
