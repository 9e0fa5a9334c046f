"""From shards to results: everything here can be computed again without a model."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import Dataset
from bench.metrics.average_precision import coco_average_precision, lvis_average_precision
from bench.metrics.average_recall import average_recall
from bench.metrics.mean_iou import mean_ious
from bench.metrics.number import Number
from bench.metrics.reference import ground_truth
from bench.runs.detections import Detections
from bench.runs.folder import RunFolder, write_whole
from bench.runs.plan import ModelIdentity, Plan
from bench.runs.tasks import DETECTOR_BOX, EVERYTHING

RESULT_COLUMNS = ("model", "weights", "dataset", "protocol", "task", "metric", "value", "low", "high", "n", "unit")
LATENCY_COLUMNS = ("model", "stage", "n_prompts", "device", "dtype", "seconds")

INSTANCES = pa.schema(
    [
        ("model", pa.string()),
        ("task", pa.string()),
        ("image_id", pa.int64()),
        ("annotation_id", pa.int64()),
        ("category_id", pa.int64()),
        ("area", pa.float64()),
        ("iscrowd", pa.bool_()),
        ("iou", pa.float64()),
        ("iou_single", pa.float64()),
        ("iou_oracle", pa.float64()),
        ("score", pa.float64()),
        ("clicks", pa.list_(pa.int32())),
    ]
)
"""IoU in percent. score is the model's own for the selected mask, null where it makes none. clicks are x, y, label of
one click after the other."""


def score(plan: Plan, dataset: Dataset, detections: Detections | None, folder: RunFolder) -> dict[str, Any]:
    """Write instances.parquet, detections/, latency.csv and results.csv from the shards.

    Returns:
        For run.json: ``counts`` says for each model and task how many instances there were, how many were scored, and
        how many were left out for which reason, which add up; ``unread`` names images that couldn't be read;
        ``images_sha256`` is the hash of all image files that were.
    """
    truth = _Truth(dataset)
    results: list[list[Any]] = []
    samples: list[list[Any]] = []
    counts: dict[str, Any] = {}
    unread: dict[str, str] = {}
    files: dict[int, str] = {}
    instances = io.BytesIO()
    with pq.ParquetWriter(instances, INSTANCES) as writer:
        for model in plan.models:
            answers = _answers(plan, model, dataset, folder)
            rows = sorted(answers.rows, key=lambda row: plan.tasks.index(row["task"]))
            writer.write_table(pa.Table.from_pylist([{"model": model.name, **row} for row in rows], schema=INSTANCES))
            for task, found in answers.detections.items():
                folder.write_json(f"detections/{model.name}-{task}.json", found)
            for task in model.tasks:
                results += [_result(plan, model, task, number) for number in _numbers(task, answers, truth)]
            samples += answers.latency
            counts[model.name] = {task: _counted(task, answers, dataset, detections) for task in model.tasks}
            unread |= {str(image_id): why for image_id, why in answers.unread.items()}
            files |= answers.files
    write_whole(folder.path / "instances.parquet", instances.getvalue())
    write_whole(folder.path / "latency.csv", _csv(LATENCY_COLUMNS, samples))
    write_whole(folder.path / "results.csv", _csv(RESULT_COLUMNS, results))
    return {"counts": counts, "unread": unread, "images_sha256": _hash_of_all(files)}


@dataclass
class _Answers:
    """What all shards of one model hold."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    detections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)
    latency: list[list[Any]] = field(default_factory=list)


def _answers(plan: Plan, model: ModelIdentity, dataset: Dataset, folder: RunFolder) -> _Answers:
    answers = _Answers(detections={task: [] for task in model.tasks if task in (DETECTOR_BOX, EVERYTHING)})
    for index in range(len(plan.shards(dataset.images))):
        shard = json.loads(folder.shard(model.name, index).read_bytes())
        answers.rows += shard["rows"]
        for task, found in shard["detections"].items():
            answers.detections[task] += found
        for task, reasons in shard["skipped"].items():
            answers.skipped.setdefault(task, Counter()).update(reasons)
        answers.files |= dict(shard["files"])
        answers.unread |= dict(shard["unread"])
        for stage, prompts, seconds in shard["latency"]:
            answers.latency.append([model.name, stage, prompts, shard["device"], shard["dtype"], seconds])
    return answers


class _Truth:
    """The ground truth in COCO's format, read when first needed."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @cached_property
    def _whole(self) -> dict[str, Any]:
        unusable = [a.id for image in self.dataset.images for a in image.annotations if a.problem is not None]
        image_ids = [image.id for image in self.dataset.images]
        return ground_truth(self.dataset.annotation_file, image_ids, leave_out=unusable)

    def without(self, image_ids: set[int]) -> dict[str, Any]:
        """Return the ground truth of all images but these."""
        if not image_ids:
            return self._whole
        images = [image for image in self._whole["images"] if image["id"] not in image_ids]
        annotations = [own for own in self._whole["annotations"] if own["image_id"] not in image_ids]
        return {**self._whole, "images": images, "annotations": annotations}


def _numbers(task: str, answers: _Answers, truth: _Truth) -> Iterator[Number]:
    if task in answers.detections:
        known = truth.without(set(answers.unread))
        if task == EVERYTHING:
            yield from average_recall(known, answers.detections[task])
        elif truth.dataset.kind == "lvis":
            yield from lvis_average_precision(known, answers.detections[task])
        else:
            yield from coco_average_precision(known, answers.detections[task])
    else:
        yield from mean_ious(pd.DataFrame([r for r in answers.rows if r["task"] == task], columns=INSTANCES.names))


def _result(plan: Plan, model: ModelIdentity, task: str, number: Number) -> list[Any]:
    identity = [model.name, model.short_weights, plan.dataset.name, plan.protocol.name, task]
    return [*identity, number.metric, number.value, number.low, number.high, number.n, number.unit]


def _counted(task: str, answers: _Answers, dataset: Dataset, detections: Detections | None) -> dict[str, Any]:
    """Return n_total, n_scored and skipped by reason; the images that couldn't be read are among the reasons."""
    skipped = Counter(answers.skipped.get(task, {}))
    if task == EVERYTHING:
        per_image = {image.id: 1 for image in dataset.images}
        total, scored = len(per_image), len(per_image) - len(answers.unread)
    elif task == DETECTOR_BOX:
        assert detections is not None
        per_image = {image_id: len(boxes) for image_id, boxes in detections.by_image.items()}
        skipped.update(detections.skipped)
        total, scored = sum(per_image.values()) + detections.skipped.total(), len(answers.detections[task])
    else:
        per_image = {image.id: len(image.annotations) for image in dataset.images}
        total, scored = sum(per_image.values()), sum(row["task"] == task for row in answers.rows)
    skipped["image couldn't be read"] += sum(per_image.get(image_id, 0) for image_id in answers.unread)
    return {"n_total": total, "n_scored": scored, "skipped": dict(sorted((+skipped).items()))}


def _hash_of_all(files: dict[int, str]) -> str:
    """Return one hash of the image files' hashes, in the order of the images' ids."""
    return sha256("".join(f"{image_id} {digest}\n" for image_id, digest in sorted(files.items())).encode()).hexdigest()


def _csv(columns: tuple[str, ...], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if isinstance(value, float) and math.isnan(value) else value for value in row])
    return text.getvalue().encode()
