"""From shards to results: everything here can be computed again without a model."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import Dataset
from bench.metrics.average_precision import coco_average_precision, lvis_average_precision
from bench.metrics.average_recall import average_recall
from bench.metrics.mean_iou import Number, mean_ious
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
    """Write instances.parquet, detections/, latency.csv and results.csv from the shards; return the counts.

    The counts say for each model and task how many instances there were, how many were scored, and how many were left
    out for which reason; they add up.
    """
    rows: list[dict[str, Any]] = []
    results: list[list[Any]] = []
    samples: list[list[Any]] = []
    counts: dict[str, Any] = {}
    for model in plan.models:
        shards = [
            json.loads(folder.shard(model.name, index).read_bytes())
            for index in range(len(plan.shards(dataset.images)))
        ]
        own = [{"model": model.name, **row} for shard in shards for row in shard["rows"]]
        rows += sorted(own, key=lambda row: plan.tasks.index(row["task"]))
        found = {
            task: [result for shard in shards for result in shard["detections"].get(task, [])]
            for task in model.tasks
            if task in (DETECTOR_BOX, EVERYTHING)
        }
        for task, answers in found.items():
            folder.write_json(f"detections/{model.name}-{task}.json", answers)
        for task in model.tasks:
            numbers = _numbers(plan, dataset, task, own, found, shards)
            results += [_result(plan, model, task, number) for number in numbers]
        conditions = plan.conditions
        for shard in shards:
            for stage, prompts, seconds in shard["latency"]:
                samples.append([model.name, stage, prompts, conditions.device, conditions.dtype, seconds])
        counts[model.name] = {task: _counted(task, own, found, shards, dataset, detections) for task in model.tasks}
    table = pa.Table.from_pylist(rows, schema=INSTANCES)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_whole(folder.path / "instances.parquet", buffer.getvalue())
    write_whole(folder.path / "latency.csv", _csv(LATENCY_COLUMNS, samples))
    write_whole(folder.path / "results.csv", _csv(RESULT_COLUMNS, results))
    return counts


def _numbers(
    plan: Plan,
    dataset: Dataset,
    task: str,
    rows: list[dict[str, Any]],
    found: dict[str, list[dict[str, Any]]],
    shards: list[dict[str, Any]],
) -> Iterator[Number]:
    if task in found:
        unread = {image["image_id"] for shard in shards for image in shard["unread"]}
        truth = ground_truth(dataset.annotation_file, [image.id for image in dataset.images if image.id not in unread])
        if task == EVERYTHING:
            yield from average_recall(truth, found[task])
        elif dataset.kind == "lvis":
            yield from lvis_average_precision(truth, found[task])
        else:
            yield from coco_average_precision(truth, found[task])
    else:
        instances = pd.DataFrame([row for row in rows if row["task"] == task], columns=INSTANCES.names)
        yield from mean_ious(instances)


def _result(plan: Plan, model: ModelIdentity, task: str, number: Number) -> list[Any]:
    identity = [model.name, model.short_weights, plan.dataset.name, plan.protocol.name, task]
    return [*identity, number.metric, number.value, number.low, number.high, number.n, number.unit]


def _counted(
    task: str,
    rows: list[dict[str, Any]],
    found: dict[str, list[dict[str, Any]]],
    shards: list[dict[str, Any]],
    dataset: Dataset,
    detections: Detections | None,
) -> dict[str, Any]:
    """Return n_total, n_scored and skipped by reason; the images that couldn't be read are among the reasons."""
    skipped: Counter[str] = Counter()
    for shard in shards:
        skipped.update(shard["skipped"].get(task, {}))
    unread = {image["image_id"] for shard in shards for image in shard["unread"]}
    if task == EVERYTHING:
        total, per_image = len(dataset.images), {image.id: 1 for image in dataset.images}
        scored = total - len(unread)
    elif task == DETECTOR_BOX:
        assert detections is not None
        per_image = {image_id: len(boxes) for image_id, boxes in detections.by_image.items()}
        skipped.update(detections.skipped)
        total, scored = sum(per_image.values()) + detections.skipped.total(), len(found[task])
    else:
        per_image = {image.id: len(image.annotations) for image in dataset.images}
        total, scored = sum(per_image.values()), sum(row["task"] == task for row in rows)
    if lost := sum(per_image.get(image_id, 0) for image_id in unread):
        skipped["image couldn't be read"] += lost
    return {"n_total": total, "n_scored": scored, "skipped": dict(sorted((+skipped).items()))}


def _csv(columns: tuple[str, ...], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if isinstance(value, float) and math.isnan(value) else value for value in row])
    return text.getvalue().encode()
