"""Scoring a finished run again, from its shards, without a model."""

from __future__ import annotations

from pathlib import Path

from adapters.errors import InputError
from bench.datasets import Dataset
from bench.runs.folder import SHARDS, RunFolder
from bench.runs.score import score


def rescore(path: Path, dataset: Dataset) -> None:
    """Write a run's results.csv, instances.parquet, latency.csv and detections/ anew from its shards.

    Args:
        path: the run's folder.
        dataset: what it was run on, whole or so much of it.

    Raises:
        InputError: where there is no finished run, its shards are gone, or it was run on other data.
    """
    folder = RunFolder(path)
    plan = folder.finished_plan()
    part = dataset.first(plan.dataset.images)
    if part.digest != plan.dataset.digest:
        raise InputError(
            f"{path} was run on {plan.dataset.name} (sha256 {plan.dataset.digest[:12]}), not on these data"
        )
    shards = len(plan.shards(part.images))
    if not all(folder.shard(model.name, index).is_file() for model in plan.models for index in range(shards)):
        raise InputError(
            f"{path / SHARDS} isn't whole: results can't be computed again; leave --data away to read them"
        )
    with folder.locked():
        score(plan, part, None, folder)
