"""A study's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from bench.protocols.tasks import EVERYTHING
from bench.report import plots
from bench.report.choice_text import interval, metric_words, task_words
from bench.report.costs import BAR_STAGES, WORDS, Costs
from bench.report.leaderboard import main_metric
from bench.report.measures import measure
from bench.report.page.parts import Figure, figure, listed
from bench.report.read import Run
from bench.report.study import Study
from bench.report.ways import most_recall
from bench.report.ways import ways as ways_of

FIRST_MASK, ALL_MASKS = "end_to_end_ms", "everything_ms"
STAGE_WORDS = {"preprocess_ms": "preprocess", "encode_ms": "encode", "decode_ms": "decode", "postprocess_ms": "to size"}


def trade_off(study: Study, costs: Costs, task: str) -> Figure | None:
    """Return accuracy against time; None where no model has both."""
    metric, time = main_metric(task), ALL_MASKS if task == EVERYTHING else FIRST_MASK
    frame = trade_off_frame(study, costs, task)
    if frame.empty:
        return None
    front = list(frame[plots.pareto(frame)].sort_values("x")["label"])
    shown = "; ".join(
        f"{row['label']}: {row['y']:.1f} % in {interval(row['x'], row['x_low'], row['x_high'], 'ms')}"
        for row in frame.to_dict("records")
    )
    y_label = f"{metric_words(metric)}, {task_words(task)}, %"
    return figure(
        f"trade-off-{study.protocol.name}-{task}",
        f"{task_words(task).capitalize()}: quality against time",
        f"{y_label}, against time {WORDS[time]}. {shown}. Nothing is both quicker and better than {listed(front)}.",
        lambda width: plots.accuracy_latency(frame, f"time {WORDS[time]}, ms", y_label, study.labels, width),
        frame,
        f"Bars are 95 % intervals. Filled, on the dashed line: nothing is both quicker and better ({listed(front)}).",
    )


def trade_off_frame(study: Study, costs: Costs, task: str) -> pd.DataFrame:
    """Return label, x, x_low, x_high, y, y_low, y_high of the models that have both; without those that were asked
    otherwise than the protocol says.
    """
    time = ALL_MASKS if task == EVERYTHING else FIRST_MASK
    columns = ["label", "x", "x_low", "x_high", "y", "y_low", "y_high"]
    if time not in costs.keys:
        return pd.DataFrame(columns=columns)
    quality = measure(study, costs, f"{task}.{main_metric(task)}").frame
    quality = quality[quality["replaced"] == ""].rename(columns={"value": "y", "low": "y_low", "high": "y_high"})
    times = costs.of(time).rename(columns={"value": "x", "low": "x_low", "high": "x_high"})
    return quality.merge(times[times["x"] > 0], on="label")[columns]


def stages(study: Study, costs: Costs) -> Figure | None:
    """Return where the time goes; None where it isn't known."""
    parts = [costs.of(key).assign(stage=STAGE_WORDS[key]) for key in BAR_STAGES]
    known = [part for part in parts if part["value"].gt(0).any()]
    if not known:
        return None
    frame = pd.concat(known).rename(columns={"value": "ms"})[["label", "stage", "ms", "low", "high"]]
    totals = frame.groupby("label", sort=False)["ms"].sum().sort_values()
    shown = "; ".join(
        f"{label} {told:.3g} ms, of which {own.sort_values('ms').iloc[-1]['stage']} {own['ms'].max():.3g}"
        for label, told in totals.items()
        for own in [frame[frame["label"] == label]]
    )
    return figure(
        "stages",
        "Where the time of a first mask goes",
        f"A bar for each model: {shown}.",
        lambda width: plots.stage_bars(frame, study.labels, width),
        frame,
        f"{costs.condition} on {costs.machine}; {costs.source}.",
    )


def distribution(study: Study, task: str) -> Figure | None:
    """Return how good models' masks are, object by object; None where there is nothing."""
    frame = plots.iou_shares(_instances(study, task))
    if frame.empty:
        return None
    good = frame[frame["at_least"] == 75]
    shown = "; ".join(f"{row.label} {row.share:.0f} %" for row in good.itertuples())
    return figure(
        f"distribution-{study.protocol.name}-{task}",
        f"How often a mask is good, {task_words(task)}",
        f"Share of objects whose mask reaches each IoU. At least 75 %: {shown}.",
        lambda width: plots.iou_distribution(frame, study.labels, width),
        frame,
        f"The area under a curve is the mean IoU over objects. IoU of 75 % or more: {shown}.",
    )


def likeness(study: Study, task: str) -> Figure | None:
    """Return how alike models are on the same objects; None for fewer than two."""
    instances = _instances(study, task)
    if instances["label"].nunique() < 2:
        return None
    frame = plots.likeness(instances)
    apart = frame[frame["first"] < frame["second"]]
    shown = "; ".join(f"{row.first} and {row.second} {row.value:.1f}" for row in apart.itertuples())
    return figure(
        f"likeness-{study.protocol.name}-{task}",
        f"Do models agree, {task_words(task)}",
        f"By how many points two models' IoU of the same object differ on average: {shown}.",
        lambda width: plots.agreement(frame, width),
        frame,
        "By how many points two models' IoU of the same object differ, on average over objects.",
    )


def proposals(study: Study) -> Figure | None:
    """Return everything mode's recall against the number of proposals; None where it wasn't run."""
    frame = _recalls(study)
    if frame.empty:
        return None
    last = frame[frame["limit"] == frame["limit"].max()]
    shown = "; ".join(
        f"{row['label']} {interval(row['value'], row['low'], row['high'], '%')}" for row in last.to_dict("records")
    )
    return figure(
        f"proposals-{study.protocol.name}",
        "Everything mode: recall against proposals",
        f"Average recall against how many proposals count. With {frame['limit'].max()}: {shown}.",
        lambda width: plots.recall_proposals(frame, study.labels, width),
        frame,
        "Class-agnostic average recall over IoU 50 to 95 %; bars are 95 % intervals.",
    )


def ways(runs: Sequence[Run], study: Study) -> Figure | None:
    """Return recall against time of all ways to segment everything on a study's data; None for fewer than two."""
    alike = [run for run in runs if run.plan.dataset.digest == study.data.digest]
    frames = [ways_of(run.results.table, run.results.latency) for run in alike]
    frame = pd.concat([own for own in frames if len(own)] or [pd.DataFrame(columns=["seconds"])], ignore_index=True)
    frame = frame[frame["seconds"].notna()]
    if len(frame) < 2:
        return None
    recall = most_recall(frame)
    models = frame["model"].nunique() > 1
    places = pd.DataFrame({
        "label": [f"{row.model}, {row.protocol}" if models else row.protocol for row in frame.itertuples()],
        "x": frame["seconds"], "x_low": frame["low"], "x_high": frame["high"],
        "y": frame[recall], "y_low": frame[f"{recall}_low"], "y_high": frame[f"{recall}_high"],
        "boxes": frame["boxes"], "proposals": frame["proposals"], "objects_a_second": frame["found"],
    })  # fmt: skip
    shown = "; ".join(
        f"{row['label']}: {row['y']:.1f} % in {row['x']:.2f} s, {row['objects_a_second']:.2g} objects a second"
        for row in places.to_dict("records")
    )
    y_label = f"AR@{recall.removeprefix('ar')}, %"
    return figure(
        "ways",
        "Everything: who finds more objects a second",
        f"{y_label}, against time of an image. {shown}.",
        lambda width: plots.accuracy_latency(places, "time of an image, s", y_label, width=width),
        places,
        f"Encoding included; boxes of a file come without the time to find them. {shown}.",
    )


def _recalls(study: Study) -> pd.DataFrame:
    rows = study.results
    own = rows[(rows["task"] == EVERYTHING) & rows["metric"].str.fullmatch(r"ar\d+") & rows["value"].notna()]
    made = study.numbers(EVERYTHING, "proposals").set_index("label")["value"]
    limits = own["metric"].str.removeprefix("ar").astype(int)
    return own.assign(limit=limits, proposals=own["label"].map(made))[
        ["label", "limit", "value", "low", "high", "proposals"]
    ]


def _instances(study: Study, task: str) -> pd.DataFrame:
    parts = []
    for label in study.labels:
        own = study.instances(label, task)
        if len(own):
            parts.append(own[["image_id", "annotation_id", "iou"]].assign(label=label))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", "iou"])


def first_of(tasks: Sequence[str]) -> Iterator[str]:
    """Yield the tasks that a page shows figures of: one click and a box, or what comes first."""
    preferred = [task for task in ("click1", "box") if task in tasks]
    yield from preferred or tasks[:1]
