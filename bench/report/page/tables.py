"""A study's tables, one a task: values with intervals, size classes, the paired test against a reference model."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.protocols.tasks import DETECTOR_BOX, EVERYTHING, NOC, WORDS, group_of, number_of
from bench.report.choice_text import metric_words, task_words
from bench.report.leaderboard import main_metric
from bench.report.page.parts import Cell, Table, csv_address
from bench.report.study import Study

SIZES = ("_small", "_medium", "_large")
EMPTY = Cell("–", order="")
SMALLER_IS_BETTER = ("noc", "failures")


def tables(study: Study, reference: str) -> Iterator[Table]:
    """Yield a table for each task.

    Args:
        study: the numbers.
        reference: the label of the model that others are tested against.
    """
    for task in study.tasks:
        yield _table(study, task, reference)


def _table(study: Study, task: str, reference: str) -> Table:
    metrics = [metric for metric in _metrics(study, task) if not study.numbers(task, metric).empty]
    numbers = {metric: study.numbers(task, metric) for metric in metrics}
    has = set(numbers[metrics[0]]["label"]) if metrics else set()
    judged = _judged_by(task, metrics)
    others = [label for label in study.labels if label in has and label != reference]
    tested = reference in has and any(study.difference(own, reference, task, judged) is not None for own in others)
    columns = [("model", False), *((metric_words(metric), True) for metric in metrics)]
    if tested:
        columns.append((f"against {reference}", True))
    counts = set(numbers[metrics[0]]["n"]) if metrics else set()
    if len(counts) > 1:
        columns.append(("n", True))
    rows = []
    for label in study.labels:
        cells = [_cell(numbers[metric], metric, label) for metric in metrics]
        if all(cell is EMPTY for cell in cells):
            continue
        if tested:
            cells.append(_tested(study, label, reference, task, judged))
        if len(counts) > 1:
            cells.append(_count(numbers[metrics[0]], label))
        rows.append((_head(study, label, numbers[metrics[0]]), *cells))
    of_task = study.results[study.results["task"] == task]
    name = f"table-{study.protocol.digest[:6]}-{study.data.digest[:6]}-{task}"
    note = " ".join(_notes(study, task, judged if tested else None, counts))
    return Table(name, task_words(task), tuple(columns), tuple(rows), csv_address(of_task), study.title, note)


def _metrics(study: Study, task: str) -> list[str]:
    group = group_of(task)
    if group in (DETECTOR_BOX, WORDS):
        return ["ap", "ap50", "ap75", *(f"ap{size}" for size in SIZES)]
    if group == NOC:
        return [f"noc{number_of(task)}", f"failures{number_of(task)}"]
    if group == EVERYTHING:
        known = dict.fromkeys(study.results.loc[study.results["task"] == task, "metric"])
        limits = sorted((m for m in known if m.startswith("ar") and m[2:].isdigit()), key=lambda m: int(m[2:]))
        greatest = limits[-1] if limits else "ar1000"
        return [*limits, *(f"{greatest}{size}" for size in SIZES), "proposals"]
    return ["miou", *(f"miou{size}" for size in SIZES), "miou_single", "miou_oracle", "boundary_iou"]


def _cell(numbers: pd.DataFrame, metric: str, label: str) -> Cell:
    own = numbers[numbers["label"] == label]
    if not len(own):
        return EMPTY
    row = own.iloc[0]
    least = metric.startswith(SMALLER_IS_BETTER)
    ranked = numbers[numbers["replaced"] == ""]["value"]
    best = len(ranked) > 1 and not row["replaced"] and row["value"] == (ranked.min() if least else ranked.max())
    limits = "" if pd.isna(row["low"]) else f"{row['low']:.1f} to {row['high']:.1f}"
    return Cell(f"{row['value']:.1f}", limits, float(row["value"]), bool(best) and metric != "proposals")


def _judged_by(task: str, metrics: list[str]) -> str:
    """Return what models are tested by: a task's main metric, of everything mode the recall of the most proposals."""
    recalls = [metric for metric in metrics if metric.startswith("ar") and metric[2:].isdigit()]
    return recalls[-1] if recalls else main_metric(task)


def _tested(study: Study, label: str, reference: str, task: str, metric: str) -> Cell:
    if label == reference:
        return Cell("reference", order=0.0)
    difference = study.difference(label, reference, task, metric)
    if difference is None:
        return EMPTY
    p = "p < 0.001" if difference.p < 0.001 else f"p = {difference.p:.3f}"
    words = f"{difference.low:+.1f} to {difference.high:+.1f}, {p}"
    mark = "" if difference.told_apart else "≈ "
    return Cell(f"{mark}{difference.value:+.1f}", words, difference.value)


def _head(study: Study, label: str, numbers: pd.DataFrame) -> Cell:
    entry = study.entry(label)
    replaced = numbers.loc[numbers["label"] == label, "replaced"].str.cat(sep="")
    mark = " †" if replaced else ""
    return Cell(f"{label}{mark}", f"{entry.identity.name} · {entry.identity.short_weights}", label)


def _count(numbers: pd.DataFrame, label: str) -> Cell:
    own = numbers[numbers["label"] == label]
    return Cell(f"{int(own['n'].iloc[0]):,}", order=int(own["n"].iloc[0])) if len(own) else EMPTY


def _notes(study: Study, task: str, tested: str | None, counts: set[int]) -> Iterator[str]:
    if len(counts) == 1:
        yield f"n = {int(next(iter(counts))):,}."
    if tested is not None:
        yield (
            f"Against: difference of {metric_words(tested)} in points with its 95 % interval, on the objects"
            " that both have; p by exchanging the models image by image; ≈: not separable."
        )
    replaced = study.results[(study.results["task"] == task) & (study.results["replaced"] != "")]
    for label, what in replaced[["label", "replaced"]].drop_duplicates().itertuples(index=False):
        yield f"† {label}: with {what} instead, so its number is another; it isn't ranked."
    if task == DETECTOR_BOX and study.boxes is not None:
        yield f"Boxes: {study.boxes.name}, sha256 {study.boxes.digest[:12]}."
