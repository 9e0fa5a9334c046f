"""pytest-benchmark's files as latency measurements, so that the same statistics compare them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from adapters.errors import InputError
from bench.latency.record import Record, Row
from bench.latency.summary import summary

VERSIONS, THREADS, PULSES = "versions", "threads", "pulses"
"""What benchmarks put into their extra_info: alike for all of a file the packages' versions and torch's threads, and
each its own seconds of the machine's pulse (bench.latency.pulse)."""


class _Stats(BaseModel):
    data: list[float]


class _Benchmark(BaseModel):
    fullname: str
    extra_info: dict[str, Any]
    stats: _Stats


class _Cpu(BaseModel):
    brand_raw: str = "unknown"
    count: int | None = None


class _Machine(BaseModel):
    cpu: _Cpu
    system: str
    machine: str
    python_version: str


class _File(BaseModel):
    datetime: str
    machine_info: _Machine
    benchmarks: list[_Benchmark]


def read(path: Path) -> Record:
    """Return the content of a file of `pytest --benchmark-save-data`; a benchmark is a stage, its file the model.

    Raises:
        InputError: where it is something else, or holds no samples.
    """
    try:
        file = _File.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raw = " (pytest --benchmark-save-data keeps them)" if first["loc"][-1] == "data" else ""
        raise InputError(f"{path}: {place}: {first['msg']}{raw}") from None
    machine, extra = file.machine_info, next((own.extra_info for own in file.benchmarks if own.extra_info), {})
    return Record(
        status="complete",
        started=file.datetime,
        machine={
            "cpu": machine.cpu.brand_raw,
            "cores": machine.cpu.count,
            "gpu": None,
            "system": f"{machine.system} {machine.machine}",
        },
        environment={
            "python": machine.python_version,
            "threads": extra.get(THREADS),
            "versions": extra.get(VERSIONS, {}),
        },
        settings={},
        rows=[_row(own) for own in file.benchmarks],
    )


def newest(folder: Path) -> list[Path]:
    """Return the last two files, the older first, that pytest-benchmark has stored in a folder; one if there is one.

    Raises:
        InputError: where there is none, or several machines have stored theirs.
    """
    places = {path.parent for path in folder.glob("*/[0-9]*_*.json")}
    if not places:
        raise InputError(f"{folder} holds neither a run nor files of pytest --benchmark-autosave")
    if len(places) > 1:
        raise InputError(f"{folder} holds files of {len(places)} machines: name one of its folders' two files")
    return sorted(places.pop().glob("[0-9]*_*.json"))[-2:]


def _row(own: _Benchmark) -> Row:
    place, _, name = own.fullname.partition("::")
    pulses = [float(seconds) for seconds in own.extra_info.get(PULSES, ())]
    return Row(
        model=Path(place).stem,
        weights="none",
        device="cpu",
        dtype="fp32",
        runtime="eager",
        stage=name,
        n_prompts=0,
        batch=1,
        status="measured",
        settled=True,
        samples=own.stats.data,
        pulses=pulses,
        processes=[len(own.stats.data)],
        beats=[len(pulses)],
        **summary(own.stats.data),
    )
