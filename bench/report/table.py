"""The table at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from bench.protocols.tasks import GROUPS, group_of, number_of
from bench.report.console import console
from bench.report.ways import most_recall, ways

MASKS = {"_single": "single", "_oracle": "oracle"}
SELECTED = {"score": "best score", "single": "single", "stability": "most stable", "box_iou": "most like the box",
            "oracle": "oracle"}  # fmt: skip
AVERAGES = {"instance": "instances", "image": "images", "category": "categories"}
PRECISION = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
STAGES = ("load", "preprocess", "encode", "ground", "decode", "postprocess")
EACH = {"decode": "prompt", "postprocess": "mask", "encode": "image", "preprocess": "image",
        "ground": "image"}  # fmt: skip
MEMORY = {"peak_rss_mb": "memory at most\nMB", "peak_cuda_mb": "on the GPU\nMB"}


def print_run(folder: Path) -> None:
    """Print a finished run's tables, with the identities that its numbers belong to."""
    record = json.loads((folder / "run.json").read_bytes())
    results = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values={"value": "", "low": "", "high": ""})
    latency = pd.read_csv(folder / "latency.csv")
    out = console()
    out.print()
    for table in _tables(record, results, latency):
        out.print(table)
    for line in _footnotes(record):
        out.print(line, highlight=False, markup=False)
    out.print(f"files: {folder}/results.csv, instances.parquet, latency.csv, run.json", highlight=False, markup=False)


def _tables(record: dict[str, Any], results: pd.DataFrame, latency: pd.DataFrame) -> Iterator[Table]:
    plan = record["plan"]
    for protocol in plan["protocols"]:
        own = results[results["protocol"].str.startswith(f"{protocol['name']}/")]
        yield from _tables_of(plan, protocol, own)
    by_way = ways(results, latency)
    if len(by_way):
        yield _ways_table(by_way)
    yield _latency_table(plan, latency, record.get("memory", {}))


def _tables_of(plan: dict[str, Any], protocol: dict[str, Any], results: pd.DataFrame) -> Iterator[Table]:
    """Yield the tables of one protocol; results are its own."""
    done = [job["task"] for model in plan["models"] for job in model["jobs"] if job["protocol"] == protocol["name"]]
    tasks = list(dict.fromkeys(done))
    by_kind = {kind: [task for task in tasks if group_of(task) == kind] for kind in GROUPS}
    named = f"under {protocol['name']}"
    instance_tasks = by_kind["box"] + by_kind["box_click"] + by_kind["click"]
    if instance_tasks:
        yield _mean_iou_table(plan, protocol, results, instance_tasks)
    if by_kind["noc"]:
        columns = {task: (task, task) for task in by_kind["noc"]}
        columns |= {f"never {task.removeprefix('noc')} (%)": (task, f"failures{task[3:]}") for task in by_kind["noc"]}
        yield _metric_table(plan, results, columns, f"clicks until the IoU is good, {named}")
    if by_kind["pair"]:
        reference = protocol["pairs"]["reference"]
        columns = {f"{task.removeprefix('pair')} px": (task, "miou") for task in by_kind["pair"]}
        yield _metric_table(plan, results, columns, f"mIoU (%) with {reference}'s masks by distance of clicks, {named}")
    for task, metrics, title in (
        ("detector_box", PRECISION, "AP of masks from a detector's boxes (%)"),
        ("everything", _recalls(protocol), "class-agnostic AR of everything mode (%)"),
        ("words", PRECISION, "AP of masks of what the categories' names find (%)"),
    ):
        if task in tasks:
            yield _metric_table(plan, results, {metric: (task, metric) for metric in metrics}, f"{title}, {named}")


def _recalls(protocol: dict[str, Any]) -> tuple[str, ...]:
    limits = protocol["everything"]["limits"] if protocol["everything"] else ()
    return (*(f"ar{limit}" for limit in limits), "proposals")


def _mean_iou_table(plan: dict[str, Any], protocol: dict[str, Any], results: pd.DataFrame, tasks: list[str]) -> Table:
    selected = SELECTED[protocol["masks"]["select"]]
    choices = {"": selected, **{suffix: words for suffix, words in MASKS.items() if words != selected}}
    title = f"mIoU (%) under {protocol['name']}, mean over {AVERAGES[protocol['average']]}"
    table = Table("model", "weights", "mask taken", *(_task_title(task) for task in tasks), title=title)
    for model in plan["models"]:
        for suffix, choice in choices.items() if model["masks"] > 1 else [("", "its only one")]:
            cells = [_cell(results, model["name"], task, f"miou{suffix}") for task in tasks]
            first = (model["name"], model["short_weights"]) if suffix == "" else ("", "")
            table.add_row(*first, choice, *cells)
        table.add_section()
    return table


def _metric_table(
    plan: dict[str, Any], results: pd.DataFrame, columns: dict[str, tuple[str, str]], title: str
) -> Table:
    """Return a table of columns, each a task and a metric, of the models that have any of them."""
    table = Table("model", "weights", *columns, title=title)
    for model in plan["models"]:
        cells = [_cell(results, model["name"], task, metric) for task, metric in columns.values()]
        if any(cell != "-" for cell in cells):
            table.add_row(model["name"], model["short_weights"], *cells)
    return table


def _ways_table(frame: pd.DataFrame) -> Table:
    """Everything mode's cost beside what it finds, one row for each model and protocol."""
    recall = most_recall(frame)
    title = "everything: what it takes and what it finds"
    headers = (f"AR@{recall.removeprefix('ar')} (%)", "proposals\nan image", "s an image", "objects\na second")
    table = Table("model", "protocol", "boxes of", *headers, title=title)
    for row in frame.to_dict("records"):
        numbers = (row[recall], row["proposals"], row["seconds"], row["found"])
        cells = [f"{value:.{digits}f}" for value, digits in zip(numbers, (2, 0, 2, 2), strict=True)]
        table.add_row(row["model"], row["protocol"], row["boxes"] or "-", *cells)
    return table


def _latency_table(plan: dict[str, Any], latency: pd.DataFrame, memory: dict[str, dict[str, float]]) -> Table:
    """Medians, and the most memory; a stage that works on prompts or masks is shown for each of them.

    Everything mode's are in a table of their own, told apart by protocol.
    """
    stages = [stage for stage in STAGES if (latency["stage"] == stage).any()]
    headers = [
        f"{stage}\nms an {EACH[stage]}"
        if stage in EACH and EACH[stage] == "image"
        else f"{stage}\nms a {EACH[stage]}"
        if stage in EACH
        else f"{stage}\nms"
        for stage in stages
    ]
    kinds = [kind for kind in MEMORY if any(kind in held for held in memory.values())]
    most = [MEMORY[kind] for kind in kinds]
    table = Table("model", *headers, "first image\nms", *most, title="latency while running, median")
    for model in plan["models"]:
        own = latency[latency["model"] == model["name"]]
        cells = []
        for stage in stages:
            samples = own[own["stage"] == stage]
            each = samples["seconds"] / samples["n_prompts"].clip(lower=1)
            cells.append(f"{1000 * each.median():.1f}" if len(each) else "-")
        first = own[own["stage"].isin(["first_preprocess", "first_encode"])]
        cells.append(f"{1000 * first['seconds'].sum():.0f}" if len(first) else "-")
        held = memory.get(model["name"], {})
        cells += [f"{held[kind]:.0f}" if kind in held else "-" for kind in kinds]
        table.add_row(model["name"], *cells)
    return table


def _cell(results: pd.DataFrame, model: str, task: str, metric: str) -> str:
    found = results[(results["model"] == model) & (results["task"] == task) & (results["metric"] == metric)]
    if not len(found):
        return "-"
    row = found.iloc[0]
    if pd.isna(row["value"]):
        return "no instances"
    interval = "" if pd.isna(row["low"]) else f"\n[{row['low']:.1f}, {row['high']:.1f}]"
    return f"{row['value']:.2f}{interval}"


def _task_title(task: str) -> str:
    if group_of(task) == "box":
        return task
    count = number_of(task)
    title = f"{count} click" + ("s" if count != 1 else "")
    return f"box + {title}" if group_of(task) == "box_click" else title


def _footnotes(record: dict[str, Any]) -> Iterator[str]:
    plan = record["plan"]
    data = plan["dataset"]
    for protocol in plan["protocols"]:
        yield f"protocol: {protocol['name']} version {protocol['version']} ({protocol['source']})"
        if protocol["as_published"]:
            yield f"  as published: {' '.join(protocol['note'].split())}"
    comparable = "" if data["comparable"] else "; drawn by the suite: NOT comparable with papers"
    share = "" if data["images"] == data["total_images"] else f" of {data['total_images']}"
    yield f"data: {data['name']}, {data['images']}{share} images, sha256 {data['digest'][:12]}{comparable}"
    if plan["detections"]:
        boxes = plan["detections"]
        yield f"boxes: {boxes['name']}, {boxes['boxes']} taken, sha256 {boxes['digest'][:12]}"
    for own in plan.get("detectors", ()):
        yield f"boxes: of {own['name']}, weights {own['short_weights']}{'' if own['official'] else ', NOT official'}"
    yield f"conditions: {plan['conditions']['summary']}"
    yield "brackets: 95 % bootstrap interval over images"
    for model in plan["models"]:
        if model["weights"] == "random":
            yield f"{model['name']}: RANDOM WEIGHTS; its accuracy means nothing"
        elif not model["official"]:
            yield f"{model['name']}: weights {model['weights'][:12]} aren't proven to be the official ones"
    for omitted in plan["omitted"]:
        yield f"{omitted['model']}, {omitted['protocol']}: {omitted['task']} not run: {omitted['reason']}"
    for model in plan["models"]:
        for job in model["jobs"]:
            if job["replaced"]:
                yield f"{model['name']}, {job['protocol']}: {job['task']} with {', '.join(job['replaced'])} instead"
    yield from _left_out(record["counts"])


def _left_out(counts: dict[str, Any]) -> Iterator[str]:
    """Yield what was left out, tasks and models with the same count in one line."""
    alike: dict[tuple[str, str, int, int], list[str]] = {}
    for model, protocols in counts.items():
        for protocol, tasks in protocols.items():
            for task, counted in tasks.items():
                for reason, count in counted["skipped"].items():
                    key = (protocol, reason, count, counted["n_total"])
                    alike.setdefault(key, []).append(f"{model} {task}")
    for (protocol, reason, count, total), who in alike.items():
        yield f"{protocol}: {count} of {total} left out: {reason} ({', '.join(who)})"
