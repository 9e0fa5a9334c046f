"""Finished runs, read whole: what was planned, what came out, and the samples of time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.errors import InputError
from bench.papers.run_results import RunResults
from bench.runs.folder import RUN_FILE, RunFolder
from bench.runs.plan import Plan
from bench.runs.recalls import RECALLS

NAMES = ["model", "protocol", "task"]
KEYS = ["image_id", "annotation_id", "category_id"]
NUMBERS = ["area", "iou", "iou_single", "iou_oracle", "boundary_iou", "score", RECALLS]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        record: run.json.
        plan: the five identities.
        results: results.csv, and how published numbers are held against it.
    """

    folder: Path
    record: dict[str, Any]
    plan: Plan
    results: RunResults

    @cached_property
    def instances(self) -> pd.DataFrame:
        """instances.parquet without the clicks; model, protocol and task are categories, IoU in percent.

        Recalls are empty in runs of versions that didn't write them.
        """
        return self._instances(NAMES + KEYS + NUMBERS)

    @cached_property
    def clicks(self) -> pd.DataFrame:
        """The clicks of each instance, x, y, label of one after the other."""
        return self._instances([*NAMES, *KEYS[:2], "clicks"])

    def detections(self, model: str, protocol: str, task: str) -> list[dict[str, Any]]:
        """Return the masks of a task, COCO results format; none where the run has no such file."""
        file = self.folder / "detections" / f"{model}-{protocol}-{task}.json"
        return list(json.loads(file.read_bytes())) if file.is_file() else []

    def _instances(self, columns: list[str]) -> pd.DataFrame:
        file = self.folder / "instances.parquet"
        try:
            written = [own for own in columns if own != RECALLS or own in pq.read_schema(file).names]
            table = pq.read_table(file, columns=written, read_dictionary=NAMES)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} can't be read ({error})") from None
        found: pd.DataFrame = table.to_pandas()
        return found.reindex(columns=columns)


def read_run(folder: Path) -> Run:
    """Return a finished run.

    Raises:
        InputError: where there is none, it isn't finished, or it was written by another version.
    """
    results = RunResults(folder)
    record = json.loads((folder / RUN_FILE).read_bytes())
    plan = RunFolder(folder).finished_plan()
    return Run(folder, record, plan, results)
