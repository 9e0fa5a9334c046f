"""Run folders as `sambench run` leaves them, made up: for tests of what reads them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.cards import cards
from bench.conditions import Conditions
from bench.metrics.average_recall import LIMITS
from bench.metrics.mean_iou import mean, mean_ious
from bench.metrics.number import Number
from bench.protocols import protocol as preset
from bench.runs.plan import SCHEMA, DatasetIdentity, DetectionsIdentity, Job, ModelIdentity, Omission, Plan
from bench.runs.recalls import with_recalls
from bench.runs.score import INSTANCES, LATENCY_COLUMNS, RESULT_COLUMNS

CONDITIONS = Conditions(
    device="cpu", dtype="fp32", threads=2, tf32=False, memory_kept=True, cpu="A processor", cores=2, gpu=None,
    cuda=None, system="Linux, Python 3.12", versions={"torch": "2.9", "sambench": "0.1.0"},
)  # fmt: skip
SPEED = {"sam_vit_h": 4.0, "sam_vit_l": 3.0, "sam_vit_b": 2.0, "mobile_sam": 0.3, "efficient_sam_ti": 0.5,
         "efficient_sam_s": 0.9, "grabcut": 0.0}  # fmt: skip
QUALITY = {"sam_vit_h": 74.0, "sam_vit_l": 73.8, "sam_vit_b": 70.0, "mobile_sam": 66.0, "efficient_sam_ti": 64.0,
           "efficient_sam_s": 67.0, "grabcut": 40.0}  # fmt: skip
SHARES = ([10, 100, 1000], [0.3, 0.7, 1.0])
IOUS = ("iou", "iou_single", "iou_oracle", "boundary_iou", "score", "clicks")


def write_run(folder, models=("mobile_sam", "grabcut"), tasks=("box", "click1"), images=30, each=4, name="coco",
              digest="d" * 64, comparable=True, rules="efficientvit", status="complete", weights=None, replaced=None,
              everything=True, quality=QUALITY, seed=0, conditions=CONDITIONS, schema=SCHEMA, boxes=None):  # fmt: skip
    """Write a finished run of made-up numbers and return its folder; the models differ as QUALITY says.

    rules is a preset or a protocol's file; boxes is the hash of a detector's, for protocols that ask by them.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    replaced = replaced or {}
    protocol = preset(rules)
    asked = [*tasks, *(["everything"] if everything else [])]
    identities = tuple(_identity(model, protocol.name, asked, weights, replaced.get(model, ())) for model in models)
    plan = Plan(
        models=identities,
        dataset=DatasetIdentity(
            name=name, kind="coco", digest=digest, images=images, total_images=images, comparable=comparable
        ),
        protocols=(protocol,),
        detections=boxes and DetectionsIdentity(name="boxes.json", digest=boxes, boxes=1),
        tasks=tuple(asked),
        omitted=(Omission(model=models[0], protocol=protocol.name, task="noc90", reason="it can't"),),
        conditions=conditions,
        shard_images=8,
    )
    counts = {
        model: {protocol.name: {task: _counted(images * each) for task in tasks}} for model in models
    }  # fmt: skip
    record = {"schema_version": schema, "status": status, "plan": plan.model_dump(mode="json"), "counts": counts,
              "unread": {}, "started": "2026-11-20T10:00:00+00:00"}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    frames = [_instances(model, protocol.name, task, images, each, quality, seed) for model in models for task in tasks]
    limits = LIMITS if protocol.everything is None else protocol.everything.limits
    frames += [_proposed(identity.name, protocol.name, images, each, quality, seed, limits) for identity in identities
               if any(job.task == "everything" for job in identity.jobs)]  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.reindex(columns=INSTANCES.names).astype({"clicks": object, "recalls": object})
    frame[["clicks", "recalls"]] = frame[["clicks", "recalls"]].where(lambda lists: lists.notna(), None)
    table = pa.Table.from_pandas(frame, schema=INSTANCES, preserve_index=False)
    pq.write_table(table, folder / "instances.parquet")
    rows = []
    for identity, own in ((i, i.jobs) for i in identities):
        for job in own:
            of_task = frame[(frame["model"] == identity.name) & (frame["task"] == job.task)]
            found = _recall(of_task, limits) if job.task == "everything" else mean_ious(of_task, protocol.average)
            numbers = [(n.metric, n.value, n.low, n.high, n.n, n.unit) for n in found]
            suffix = f";replaced: {', '.join(job.replaced)}" if job.replaced else ""
            rows += [[identity.name, identity.short_weights, name, protocol.identity + suffix, job.task, *number]
                     for number in numbers]  # fmt: skip
    write_csv(folder / "results.csv", RESULT_COLUMNS, rows)
    write_csv(folder / "latency.csv", LATENCY_COLUMNS, [row for model in models for row in _latency(model, images)])
    return folder


def write_latency(file, models=("mobile_sam", "grabcut"), weights=None, cpu="A processor"):
    """Write a file as `sambench latency` does."""
    rows = []
    for model in models:
        stages = {"preprocess": 0.01, "encode": SPEED[model], "decode_point1": 0.02, "postprocess_size": 0.005}
        stages["end_to_end"] = sum(stages.values())
        if model == "grabcut":
            stages = {"decode_point1": 0.6, "end_to_end": 0.62}
        for stage, median in stages.items():
            rows.append({
                "model": model, "weights": _weights(model, weights)[1], "device": "cpu", "dtype": "fp32",
                "runtime": "eager", "stage": stage, "n_prompts": 1, "batch": 1, "status": "measured", "first_s": median,
                "samples": [median] * 5, "median": median, "p90": median, "p99": median, "low": 0.95 * median,
                "high": 1.06 * median, "peak_rss_mb": 800.0, "parameters": cards()[model].parameters or None,
                "macs": 10**9,
            })  # fmt: skip
    record = {
        "kind": "latency", "schema_version": 1, "status": "complete", "started": "2026-11-20T10:00:00",
        "machine": {"cpu": cpu, "cores": 2, "gpu": None}, "environment": {"threads": 2}, "settings": {}, "rows": rows,
    }  # fmt: skip
    Path(file).write_text(json.dumps(record))
    return Path(file)


def write_csv(file, columns, rows):
    """Write a CSV file; NaN is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *([("" if value != value else value) for value in row] for row in rows)])
    file.write_text(text.getvalue())


def _identity(model, protocol, tasks, weights, replaced):
    card = cards()[model]
    full, short = _weights(model, weights)
    jobs = tuple(Job(protocol=protocol, task=task, replaced=tuple(replaced)) for task in tasks
                 if card.everything or task != "everything")  # fmt: skip
    return ModelIdentity(
        name=model, title=card.title, source=card.source, licence=card.licence, preprocessing=card.preprocessing,
        weights=full, short_weights=short, official=full != "random", masks=card.masks, jobs=jobs,
    )  # fmt: skip


def _weights(model, weights):
    if weights is not None:
        return weights, weights[:12]
    return ("none", "none") if model == "grabcut" else ("a" * 64, "a" * 12)


def _counted(total):
    return {"n_total": total + 3, "n_scored": total, "skipped": {"crowd, which the protocol leaves out": 3}}


def _instances(model, protocol, task, images, each, quality, seed):
    shared = np.random.default_rng([seed, len(task)])
    own = np.random.default_rng([seed, len(task), sum(map(ord, model))])
    count = images * each
    hardness = shared.normal(0, 14, count)
    centre = quality[model] + (8 if task == "box" else 0)
    iou = np.clip(centre + hardness + own.normal(0, 6, count), 0, 100)
    clicks = [[20.0, 30.0, 1.0]] * count if task.startswith("click") else [None] * count
    return pd.DataFrame({
        "model": model, "protocol": protocol, "task": task, "image_id": np.repeat(np.arange(images), each),
        "annotation_id": np.arange(count), "category_id": np.arange(count) % 5 + 1,
        "area": np.random.default_rng(seed).choice([500.0, 4000.0, 20000.0], count), "iscrowd": False, "iou": iou,
        "iou_single": np.clip(iou - 2, 0, 100), "iou_oracle": np.clip(iou + 4, 0, 100), "boundary_iou": np.nan,
        "score": iou / 100, "clicks": clicks,
    })  # fmt: skip


def _proposed(model, protocol, images, each, quality, seed, limits):
    shared, own = np.random.default_rng([seed, 99]), np.random.default_rng([seed, 99, sum(map(ord, model))])
    rows = _instances(model, protocol, "everything", images, each, quality, seed).drop(columns=list(IOUS))
    best = 0.8 * quality[model] + shared.normal(0, 14, len(rows)) + own.normal(0, 6, len(rows))
    return rows.assign(recalls=np.clip(best[:, None] * np.interp(sorted(limits), *SHARES), 0, 100).tolist())


def _recall(rows, limits):
    """Yield AR@10 and so on, and the number of proposals."""
    for limit in limits:
        yield mean(f"ar{limit}", with_recalls(rows, limits), f"ar{limit}", "instance")
    yield Number("proposals", 50.0, 47.0, 53.0, rows["image_id"].nunique(), "per image")


def _latency(model, images):
    generator = np.random.default_rng(1)
    for _ in range(min(images, 200)):
        noise = 1 + 0.1 * generator.random()
        yield [model, "preprocess", 0, "cpu", "fp32", 0.01 * noise]
        yield [model, "encode", 0, "cpu", "fp32", SPEED[model] * noise]
        yield [model, "decode", 4, "cpu", "fp32", (2.4 if model == "grabcut" else 0.06) * noise]
        yield [model, "postprocess", 4, "cpu", "fp32", 0.02 * noise]
