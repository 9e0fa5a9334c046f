"""The file of a measurement: what lies in it, and that it is never half-written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.errors import InputError
from bench.files import write_whole

KIND = "latency"
SCHEMA: Literal[2] = 2
READABLE = (1, SCHEMA)
"""Version 1 had no pulses, and one process a condition."""

VARYING = ("load_average_before", "load_average_after", "clocks_before", "clocks_after", "temperature_before",
           "temperature_after")  # fmt: skip
"""What of the environment may differ between two attempts at one measurement."""

Key = tuple[str, str, str, str, str, str, int, int]


class OutputCheck(BaseModel):
    """How a condition's masks compare with eager fp32's.

    Attributes:
        miou_vs_eager: mean IoU of the masks, 0 to 1.
        finite: whether logits and scores are finite wherever eager's are.
    """

    miou_vs_eager: float
    finite: bool


class Row(BaseModel):
    """One stage of one model under one condition. All times are in seconds, memory in MB of 10⁶ bytes.

    Attributes:
        model, weights, device, dtype, runtime, stage, n_prompts, batch: what was measured; weights are 12 hexadecimal
            digits, "random" or "none".
        status: measured; failed, and why; or missing, as not measured yet.
        first_s: the stage's first call in its process.
        compile_s: what of it, or before it, was compiling or exporting.
        warmups: calls after the first whose times were thrown away; settled: whether they had become steady.
        samples: every time taken.
        host_samples: on a CUDA device, whose events gave the samples, the same by the host's clock.
        pulses: what a fixed calculation took meanwhile (bench.latency.pulse).
        processes: how many of the samples each process took, in order; beats: how many of the pulses.
        low, high: 95 % bootstrap interval of the median.
        peak_rss_mb, peak_cuda_mb: most memory held during the row.
        parameters: held by the model; macs: of one call, None where they aren't known.
        masks_digest: of the masks that the timed calls gave for the first inputs.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    weights: str
    device: str
    dtype: str
    runtime: str
    stage: str
    n_prompts: int
    batch: int
    status: Literal["measured", "failed", "missing"] = "missing"
    reason: str | None = None
    first_s: float | None = None
    compile_s: float | None = None
    warmups: int = 0
    settled: bool = False
    samples: list[float] = []
    host_samples: list[float] | None = None
    pulses: list[float] = []
    processes: list[int] = []
    beats: list[int] = []
    median: float | None = None
    p90: float | None = None
    p99: float | None = None
    low: float | None = None
    high: float | None = None
    peak_rss_mb: float | None = None
    peak_cuda_mb: float | None = None
    parameters: int | None = None
    macs: int | None = None
    output_check: OutputCheck | None = None
    masks_digest: str | None = None

    @property
    def key(self) -> Key:
        """What was measured, under which condition."""
        return (self.model, self.weights, self.device, self.dtype, self.runtime, self.stage, self.n_prompts, self.batch)


class Record(BaseModel):
    """A measurement.

    Attributes:
        status: running, complete, or stopped by ``error``; one that was killed still says running.
        machine, environment: as found (bench.latency.environment).
        settings: how it was measured, on which images.
        rows: one for each stage asked for, measured or not.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["latency"] = "latency"
    schema_version: Literal[1, 2] = SCHEMA
    status: Literal["running", "complete", "stopped"] = "running"
    error: str | None = None
    started: str
    finished: str | None = None
    machine: dict[str, Any]
    environment: dict[str, Any]
    settings: dict[str, Any]
    rows: list[Row]

    @property
    def missing(self) -> list[Row]:
        """The rows that aren't measured yet."""
        return [row for row in self.rows if row.status == "missing"]

    def put(self, row: Row) -> None:
        """Put a row in the place of the one with the same key."""
        index = next(index for index, own in enumerate(self.rows) if own.key == row.key)
        self.rows[index] = row

    def write(self, path: Path) -> None:
        """Write the file, whole."""
        write_whole(path, (json.dumps(self.model_dump(mode="json"), indent=1) + "\n").encode())


def read(path: Path) -> Record:
    """Return the measurement in a file.

    Raises:
        InputError: where there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise InputError(f"no file {path}")
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(f"{path} holds no latency measurement")
    if content.get("schema_version") not in READABLE:
        raise InputError(f"{path} has schema version {content.get('schema_version')}, this sambench reads {READABLE}")
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {place}: {first['msg']}") from None


def resumed(path: Path, fresh: Record) -> Record:
    """Return the measurement to go on with: what the file has, joined by the rows of a fresh one.

    Raises:
        InputError: where the file was measured on another machine, in another environment, or with other settings.
    """
    if not path.exists():
        return fresh
    old = read(path)
    for part in ("machine", "environment", "settings"):
        before, now = _lasting(getattr(old, part)), _lasting(getattr(fresh, part))
        for name in (name for name in {**now, **before} if before.get(name) != now.get(name)):
            raise InputError(
                f"{path} was measured otherwise ({part}.{name} is {before.get(name)} there, {now.get(name)} now):"
                " name another --out"
            )
    known = {row.key for row in old.rows}
    added = [row for row in fresh.rows if row.key not in known]
    rows = [*old.rows, *added]
    return old.model_copy(update={"rows": rows, "status": "running", "error": None, "finished": None})


def pending(record: Record, asked: Sequence[Row]) -> list[Row]:
    """Return what of the rows asked for is still missing."""
    keys = {row.key for row in asked}
    return [row for row in record.missing if row.key in keys]


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _lasting(values: dict[str, Any]) -> dict[str, Any]:
    return _flat({name: value for name, value in values.items() if name not in VARYING})


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
