"""The table at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from bench.report.console import console

MASKS = {"": "best score", "_single": "single", "_oracle": "oracle"}
PRECISION = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
RECALL = ("ar10", "ar100", "ar1000", "proposals")
STAGES = ("load", "preprocess", "encode", "decode", "postprocess", "everything")
EACH = {"decode": "prompt", "postprocess": "mask", "encode": "image", "preprocess": "image", "everything": "image"}


def print_run(folder: Path) -> None:
    """Print a finished run's tables, with the identities that its numbers belong to."""
    record = json.loads((folder / "run.json").read_bytes())
    results = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values={"value": "", "low": "", "high": ""})
    latency = pd.read_csv(folder / "latency.csv")
    out = console()
    out.print()
    for table in _tables(record["plan"], results, latency):
        out.print(table)
    for line in _footnotes(record):
        out.print(line, highlight=False, markup=False)
    out.print(f"files: {folder}/results.csv, instances.parquet, latency.csv, run.json", highlight=False, markup=False)


def _tables(plan: dict[str, Any], results: pd.DataFrame, latency: pd.DataFrame) -> Iterator[Table]:
    instance_tasks = [task for task in plan["tasks"] if task == "box" or task.startswith("click")]
    if instance_tasks:
        yield _mean_iou_table(plan, results, instance_tasks)
    for task, metrics, title in (
        ("detector_box", PRECISION, "AP of masks from a detector's boxes (%)"),
        ("everything", RECALL, "class-agnostic AR of everything mode (%)"),
    ):
        if task in plan["tasks"]:
            yield _metric_table(plan, results, task, metrics, title)
    yield _latency_table(plan, latency)


def _mean_iou_table(plan: dict[str, Any], results: pd.DataFrame, tasks: list[str]) -> Table:
    table = Table("model", "weights", "mask taken", *(_task_title(task) for task in tasks), title="mIoU (%)")
    for model in plan["models"]:
        for suffix, choice in MASKS.items() if model["masks"] > 1 else [("", "its only one")]:
            cells = [_cell(results, model["name"], task, f"miou{suffix}") for task in tasks]
            first = (model["name"], model["short_weights"]) if suffix == "" else ("", "")
            table.add_row(*first, choice, *cells)
        table.add_section()
    return table


def _metric_table(
    plan: dict[str, Any], results: pd.DataFrame, task: str, metrics: tuple[str, ...], title: str
) -> Table:
    table = Table("model", "weights", *metrics, title=title)
    for model in plan["models"]:
        if task in model["tasks"]:
            cells = [_cell(results, model["name"], task, metric) for metric in metrics]
            table.add_row(model["name"], model["short_weights"], *cells)
    return table


def _latency_table(plan: dict[str, Any], latency: pd.DataFrame) -> Table:
    """Medians; a stage that works on prompts or masks is shown for each of them."""
    stages = [stage for stage in STAGES if (latency["stage"] == stage).any()]
    headers = [
        f"{stage}\nms an {EACH[stage]}"
        if stage in EACH and EACH[stage] == "image"
        else f"{stage}\nms a {EACH[stage]}"
        if stage in EACH
        else f"{stage}\nms"
        for stage in stages
    ]
    table = Table("model", *headers, "first image\nms", title="latency while running, median")
    for model in plan["models"]:
        own = latency[latency["model"] == model["name"]]
        cells = []
        for stage in stages:
            samples = own[own["stage"] == stage]
            each = samples["seconds"] / samples["n_prompts"].clip(lower=1)
            cells.append(f"{1000 * each.median():.1f}" if len(each) else "-")
        first = own[own["stage"].isin(["first_preprocess", "first_encode"])]
        table.add_row(model["name"], *cells, f"{1000 * first['seconds'].sum():.0f}" if len(first) else "-")
    return table


def _cell(results: pd.DataFrame, model: str, task: str, metric: str) -> str:
    found = results[(results["model"] == model) & (results["task"] == task) & (results["metric"] == metric)]
    if not len(found):
        return "-"
    row = found.iloc[0]
    return "no instances" if pd.isna(row["value"]) else f"{row['value']:.2f}\n[{row['low']:.1f}, {row['high']:.1f}]"


def _task_title(task: str) -> str:
    clicks = task.removeprefix("click")
    return task if clicks == task else f"{clicks} click" + ("s" if clicks != "1" else "")


def _footnotes(record: dict[str, Any]) -> Iterator[str]:
    plan = record["plan"]
    data, protocol = plan["dataset"], plan["protocol"]
    yield f"protocol: {protocol['name']} version {protocol['version']} ({protocol['source']})"
    comparable = "" if data["comparable"] else "; drawn by the suite: NOT comparable with papers"
    yield f"data: {data['name']}, {data['images']} images, sha256 {data['digest'][:12]}{comparable}"
    if plan["detections"]:
        boxes = plan["detections"]
        yield f"boxes: {boxes['name']}, {boxes['boxes']} taken, sha256 {boxes['digest'][:12]}"
    yield f"conditions: {plan['conditions']['summary']}"
    yield "brackets: 95 % bootstrap interval over images"
    for model in plan["models"]:
        if model["weights"] == "random":
            yield f"{model['name']}: RANDOM WEIGHTS; its accuracy means nothing"
        elif not model["official"]:
            yield f"{model['name']}: weights {model['weights'][:12]} aren't proven to be the official ones"
    for omitted in plan["omitted"]:
        yield f"{omitted['model']}: {omitted['task']} not run: {omitted['reason']}"
    for model, tasks in record["counts"].items():
        for task, counts in tasks.items():
            for reason, count in counts["skipped"].items():
                yield f"{model}, {task}: {count} of {counts['n_total']} left out: {reason}"
