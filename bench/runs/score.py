"""From shards to results: everything here can be computed again without a model."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import Dataset, Image
from bench.files import write_whole
from bench.metrics.average_precision import coco_average_precision, lvis_average_precision
from bench.metrics.average_recall import Recall
from bench.metrics.mean_iou import mean_ious, noc
from bench.metrics.number import Number
from bench.metrics.reference import ground_truth
from bench.protocols import Protocol
from bench.protocols.tasks import DETECTOR_BOX, EVERYTHING, NOC, PAIR, WORDS, group_of, number_of
from bench.runs.agreement import agreement
from bench.runs.detections import Detections
from bench.runs.folder import RunFolder
from bench.runs.plan import Job, ModelIdentity, Plan
from bench.runs.recalls import object_rows
from bench.runs.subset import taken

RESULT_COLUMNS = ("model", "weights", "dataset", "protocol", "task", "metric", "value", "low", "high", "n", "unit")
LATENCY_COLUMNS = ("model", "stage", "n_prompts", "device", "dtype", "seconds", "protocol")
"""protocol is empty for stages that several protocols share."""

INSTANCES = pa.schema(
    [
        ("model", pa.string()),
        ("protocol", pa.string()),
        ("task", pa.string()),
        ("image_id", pa.int64()),
        ("annotation_id", pa.int64()),
        ("category_id", pa.int64()),
        ("area", pa.float64()),
        ("iscrowd", pa.bool_()),
        ("iou", pa.float64()),
        ("iou_single", pa.float64()),
        ("iou_oracle", pa.float64()),
        ("boundary_iou", pa.float64()),
        ("score", pa.float64()),
        ("clicks_needed", pa.int32()),
        ("reached", pa.bool_()),
        ("clicks", pa.list_(pa.float64())),
        ("replaced", pa.string()),
        ("recalls", pa.list_(pa.float64())),
    ]
)
"""IoU in percent. score is the model's own for the selected mask, null where it makes none. clicks are x, y, label of
one click after the other. clicks_needed and reached belong to the tasks noc. replaced names the protocol's knobs that
the model can't do, and what was done instead. recalls belong to everything: at what share of the IoU thresholds the
object is found within each of the protocol's limits, in percent."""

Rows = list[dict[str, Any]]
Key = tuple[str, str]


def score(plan: Plan, dataset: Dataset, detections: Detections | None, folder: RunFolder) -> dict[str, Any]:
    """Write instances.parquet, detections/, latency.csv and results.csv from the shards.

    Nothing written depends on the order of the images or on how they were cut into shards.

    Returns:
        For run.json: ``counts`` says for each model, protocol and task how many instances there were, how many were
        scored, and how many were left out for which reason, which add up; ``unread`` names images that couldn't be
        read; ``images_sha256`` is the hash of all image files that were; ``memory`` says for each model the most
        that was held during its turn.
    """
    truth = _Truth(dataset)
    results: list[list[Any]] = []
    samples: list[list[Any]] = []
    counts: dict[str, Any] = {}
    unread: dict[str, str] = {}
    files: dict[int, str] = {}
    memory: dict[str, dict[str, float]] = {}
    pairs: dict[tuple[str, Key], Rows] = {}
    protocols = {protocol.name: protocol for protocol in plan.protocols}
    order = {(job.protocol, job.task): number for model in plan.models for number, job in enumerate(model.jobs)}
    instances = io.BytesIO()
    with pq.ParquetWriter(instances, INSTANCES) as writer:
        for model in plan.models:
            answers = _answers(plan, model, dataset, folder)
            for (protocol, task), found in answers.detections.items():
                folder.write_json(f"detections/{model.name}-{protocol}-{task}.json", found)
            for job in model.jobs:
                rules = protocols[job.protocol]
                key = (job.protocol, job.task)
                if group_of(job.task) == PAIR:
                    pairs[model.name, key] = answers.detections[key]
                else:
                    numbers, of_objects = _scored(rules, job, answers, truth)
                    results += [_result(plan, model, rules, job, number) for number in numbers]
                    answers.rows += of_objects
                counted = counts.setdefault(model.name, {}).setdefault(job.protocol, {})
                counted[job.task] = _counted(rules, job, answers, dataset, detections)
            samples += answers.latency
            unread |= {str(image_id): why for image_id, why in answers.unread.items()}
            files |= answers.files
            memory[model.name] = answers.memory
            rows = sorted(answers.rows, key=lambda row: (order[_key(row)], row["image_id"], row["annotation_id"]))
            writer.write_table(pa.Table.from_pylist([{"model": model.name, **row} for row in rows], schema=INSTANCES))
    results += _agreements(plan, protocols, pairs)
    write_whole(folder.path / "instances.parquet", instances.getvalue())
    write_whole(folder.path / "latency.csv", _csv(LATENCY_COLUMNS, samples))
    write_whole(folder.path / "results.csv", _csv(RESULT_COLUMNS, results))
    return {
        "counts": counts,
        "unread": dict(sorted(unread.items())),
        "images_sha256": _hash_of_all(files),
        "memory": memory,
    }


@dataclass
class _Answers:
    """What all shards of one model hold; detections and skipped by protocol and task."""

    rows: Rows = field(default_factory=list)
    detections: dict[Key, Rows] = field(default_factory=dict)
    skipped: dict[Key, Counter[str]] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)
    latency: list[list[Any]] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)


def _answers(plan: Plan, model: ModelIdentity, dataset: Dataset, folder: RunFolder) -> _Answers:
    kept = (DETECTOR_BOX, EVERYTHING, PAIR, WORDS)
    answers = _Answers(detections={(job.protocol, job.task): [] for job in model.jobs if group_of(job.task) in kept})
    for index in range(len(plan.shards(dataset.images))):
        shard = json.loads(folder.shard(model.name, index).read_bytes())
        answers.rows += shard["rows"]
        for protocol, tasks in shard["detections"].items():
            for task, found in tasks.items():
                answers.detections[protocol, task] += found
        for protocol, tasks in shard["skipped"].items():
            for task, reasons in tasks.items():
                answers.skipped.setdefault((protocol, task), Counter()).update(reasons)
        answers.files |= dict(shard["files"])
        answers.unread |= dict(shard["unread"])
        for stage, prompts, seconds in shard["latency"]:
            name, _, protocol = stage.partition("/")
            answers.latency.append([model.name, name, prompts, shard["device"], shard["dtype"], seconds, protocol])
        for kind, held in shard.get("memory", {}).items():
            if held is not None:
                answers.memory[kind] = max(held, answers.memory.get(kind, 0.0))
    for found in answers.detections.values():
        found.sort(key=lambda one: one["image_id"])
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

    def of(self, image_ids: Collection[int]) -> dict[str, Any]:
        """Return the ground truth of these images."""
        images = [image for image in self._whole["images"] if image["id"] in image_ids]
        annotations = [own for own in self._whole["annotations"] if own["image_id"] in image_ids]
        return {**self._whole, "images": images, "annotations": annotations}


def _scored(protocol: Protocol, job: Job, answers: _Answers, truth: _Truth) -> tuple[Iterable[Number], Rows]:
    """Return a job's numbers, and the rows of objects that only scoring finds."""
    key = (job.protocol, job.task)
    if key not in answers.detections:
        frame = pd.DataFrame([row for row in answers.rows if _key(row) == key], columns=INSTANCES.names)
        of_clicks = group_of(job.task) == NOC
        return noc(frame, number_of(job.task)) if of_clicks else mean_ious(frame, protocol.average), []
    known = truth.of(set(taken(protocol, truth.dataset)) - set(answers.unread))
    found = answers.detections[key]
    if job.task == EVERYTHING:
        assert protocol.everything is not None
        recall = Recall(known, found, protocol.everything.limits, protocol.everything.federated)
        return recall.numbers(), object_rows(job, known, recall)
    rules = protocol.words if job.task == WORDS else protocol.average_precision
    assert rules is not None
    precision = lvis_average_precision if truth.dataset.kind == "lvis" else coco_average_precision
    return precision(known, found, rules.detection_area), []


def _agreements(plan: Plan, protocols: dict[str, Protocol], pairs: dict[tuple[str, Key], Rows]) -> list[list[Any]]:
    """Return the results of all models' agreement with the protocol's reference model."""
    results = []
    for model in plan.models:
        for job in model.jobs:
            rules, key = protocols[job.protocol], (job.protocol, job.task)
            if group_of(job.task) != PAIR or rules.pairs is None or model.name == rules.pairs.reference:
                continue
            number = agreement(pairs[model.name, key], pairs[rules.pairs.reference, key])
            results.append(_result(plan, model, rules, job, number))
    return results


def _result(plan: Plan, model: ModelIdentity, protocol: Protocol, job: Job, number: Number) -> list[Any]:
    rules = protocol.identity
    if (boxes := plan.boxes_of(protocol, job.task)) != "":
        rules += f";boxes: {boxes}"
    if job.replaced:
        rules += f";replaced: {', '.join(job.replaced)}"
    identity = [model.name, model.short_weights, plan.dataset.name, rules, job.task]
    return [*identity, number.metric, number.value, number.low, number.high, number.n, number.unit]


def _counted(
    protocol: Protocol, job: Job, answers: _Answers, dataset: Dataset, detections: Detections | None
) -> dict[str, Any]:
    """Return n_total, n_scored and skipped by reason; the images that couldn't be read are among the reasons."""
    key = (job.protocol, job.task)
    skipped = Counter(answers.skipped.get(key, {}))
    per_image = {image.id: _asked(protocol, job, image, detections) for image in dataset.images}
    total = sum(per_image.values())
    if job.task == DETECTOR_BOX and detections is not None:
        skipped.update(detections.skipped)
        total += detections.skipped.total()
    inside = taken(protocol, dataset)
    skipped["image outside the protocol's subset"] += sum(n for image, n in per_image.items() if image not in inside)
    skipped["image couldn't be read"] += sum(per_image[image] for image in answers.unread if image in inside)
    if job.task in (EVERYTHING, WORDS):
        scored = total - (+skipped).total()
    elif key in answers.detections:
        scored = len(answers.detections[key])
    else:
        scored = sum(_key(row) == key for row in answers.rows)
    return {"n_total": total, "n_scored": scored, "skipped": dict(sorted((+skipped).items()))}


def _asked(protocol: Protocol, job: Job, image: Image, detections: Detections | None) -> int:
    """Return how many questions a task has about an image."""
    if job.task in (EVERYTHING, WORDS):
        return 1
    if job.task == DETECTOR_BOX:
        return len(detections.by_image.get(image.id, [])) if detections is not None else 0
    if group_of(job.task) == PAIR and protocol.pairs is not None:
        return protocol.pairs.each
    return len(image.annotations)


def _key(row: dict[str, Any]) -> Key:
    return row["protocol"], row["task"]


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
