"""A run's folder: what lies in it, and that nothing in it is ever half-written."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.errors import InputError
from bench.files import write_whole
from bench.runs.plan import SCHEMA, Plan, first_difference

RUN_FILE, SHARDS = "run.json", "shards"
RESULT_FILES = ("results.csv", "instances.parquet", "latency.csv")


class RunFolder:
    """OUT: run.json, results.csv, instances.parquet, detections/, latency.csv, and the shards they are made from."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self) -> dict[str, Any] | None:
        """Return the content of run.json, None where there is no run.

        Raises:
            InputError: where it can't be read, or was written by another version of this format.
        """
        file = self.path / RUN_FILE
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_bytes())
        except json.JSONDecodeError as error:
            raise InputError(f"{file} is not JSON ({error})") from None
        schema = content.get("schema_version") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{file} has schema version {schema}, this sambench reads {SCHEMA}")
        return dict(content)

    def finished_plan(self) -> Plan:
        """Return the plan of the finished run that lies here.

        Raises:
            InputError: where there is no run, it isn't finished, or its plan can't be understood.
        """
        record = self.record()
        if record is None:
            raise InputError(f"no run in {self.path}: there is no {RUN_FILE}")
        if record.get("status") != "complete":
            raise InputError(f"the run in {self.path} is {record.get('status')}: the command that began it ends it")
        try:
            return Plan.model_validate(record.get("plan"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{self.path / RUN_FILE}: plan.{where}: {first['msg']}") from None

    def check_free_for(self, plan: Plan) -> None:
        """Raise InputError where the folder holds a run of another plan, or things that aren't a run."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out {self.path} is a file")
        record = self.record()
        if record is not None:
            difference = first_difference(record.get("plan", {}), plan.model_dump(mode="json"))
            if difference is not None:
                raise InputError(f"{self.path} holds a run of another plan ({difference}): name another --out")
        elif self.path.is_dir() and any(path.name != SHARDS for path in self.path.iterdir()):
            raise InputError(f"{self.path} isn't empty and holds no run: name another --out")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes; remove what a killed one left half-written.

        Raises:
            InputError: where another process holds it.
        """
        (self.path / SHARDS).mkdir(parents=True, exist_ok=True)
        with (self.path / SHARDS / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"another run is writing to {self.path}") from None
            for leftover in self.path.rglob("*.part"):
                leftover.unlink()
            yield

    def is_complete(self) -> bool:
        """Return whether a run ended here and its results are still there."""
        record = self.record()
        there = all((self.path / name).is_file() for name in RESULT_FILES)
        return record is not None and record.get("status") == "complete" and there

    def shard(self, model: str, index: int) -> Path:
        """Return the file of a shard, present once the shard is done."""
        return self.path / SHARDS / f"{model}-{index:05d}.json"

    def write_json(self, name: str | Path, content: Any, indent: int | None = None) -> None:
        """Write a JSON file so that it is there whole or not at all."""
        write_whole(self.path / name, json.dumps(content, indent=indent).encode())
