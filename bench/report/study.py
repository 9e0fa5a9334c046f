"""A study: all numbers under one protocol on the same data. Nothing that belongs to two studies shares a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from adapters.errors import InputError, unknown
from bench.metrics.mean_iou import SIZES, Average
from bench.metrics.paired import Difference, paired
from bench.protocols import Protocol
from bench.protocols.tasks import EVERYTHING, PAIRED_GROUPS, PROMPTED_GROUPS, group_of, takes_detections
from bench.report.read import Run
from bench.runs.plan import DatasetIdentity, DetectionsIdentity, ModelIdentity
from bench.runs.recalls import with_recalls

COLUMNS = ["label", "model", "weights", "device", "dtype", "task", "metric", "value", "low", "high", "n", "unit",
           "replaced"]  # fmt: skip
OFFICIAL, UNPROVEN, RANDOM = "official", "not proven to be the official ones", "random"


@dataclass(frozen=True)
class Entry:
    """A model as it was run.

    Attributes:
        label: how it is called here: the model's title, and what tells it from others of that title.
        identity: model and weights.
        device, dtype: where and in which precision.
        run: which run it is from.
    """

    label: str
    identity: ModelIdentity
    device: str
    dtype: str
    run: Run

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Model, weights, device, precision."""
        return self.identity.name, self.identity.weights, self.device, self.dtype

    @property
    def weights(self) -> str:
        """Whether its weights are the published ones, in words."""
        return RANDOM if self.identity.weights == "random" else OFFICIAL if self.identity.official else UNPROVEN


@dataclass
class Study:
    """Attributes:
    data, protocol: what its numbers belong to.
    boxes: whose boxes of a file were asked.
    entries: the models.
    results: the columns of COLUMNS, one row a number.
    """

    data: DatasetIdentity
    protocol: Protocol
    boxes: DetectionsIdentity | None
    entries: list[Entry]
    results: pd.DataFrame
    _instances: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    _differences: dict[tuple[str, str, str, str], Difference | None] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Protocol and data in a line."""
        return f"{self.protocol.name} on {self.data.name}"

    @property
    def labels(self) -> list[str]:
        """What the models are called."""
        return [entry.label for entry in self.entries]

    @property
    def tasks(self) -> list[str]:
        """The tasks that there are numbers for, in the run's order."""
        return list(dict.fromkeys(self.results["task"]))

    @property
    def instance_tasks(self) -> list[str]:
        """Those that are measured object by object."""
        return [task for task in self.tasks if group_of(task) in PROMPTED_GROUPS]

    def entry(self, label: str) -> Entry:
        """Return the model of a label."""
        return next(entry for entry in self.entries if entry.label == label)

    def numbers(self, task: str, metric: str) -> pd.DataFrame:
        """Return one row a model: label, value, low, high, n, unit, replaced."""
        rows = self.results
        chosen = rows[(rows["task"] == task) & (rows["metric"] == metric) & rows["value"].notna()]
        return chosen[["label", "value", "low", "high", "n", "unit", "replaced"]].reset_index(drop=True)

    def instances(self, label: str, task: str) -> pd.DataFrame:
        """Return a model's rows of a task, one an object; for everything with ar10 and so on in columns."""
        if (label, task) not in self._instances:
            entry = self.entry(label)
            rows = entry.run.instances
            own = (rows["model"] == entry.identity.name) & (rows["protocol"] == self.protocol.name)
            own_rows = rows[own & (rows["task"] == task)]
            if task == EVERYTHING and self.protocol.everything is not None:
                own_rows = with_recalls(own_rows, self.protocol.everything.limits)
            self._instances[label, task] = own_rows
        return self._instances[label, task]

    def difference(self, first: str, second: str, task: str, metric: str = "miou") -> Difference | None:
        """Return first minus second by the paired test, None for metrics that no object has its own number of."""
        key, turned = (first, second, task, metric), (second, first, task, metric)
        if turned in self._differences:
            other = self._differences[turned]
            return None if other is None else replace(other, value=-other.value, low=-other.high, high=-other.low)
        if key not in self._differences:
            self._differences[key] = self._compared(*key)
        return self._differences[key]

    def _compared(self, first: str, second: str, task: str, metric: str) -> Difference | None:
        found = _column(metric)
        if group_of(task) not in PAIRED_GROUPS or found is None:
            return None
        column, (low, high), average = found
        frames = []
        for label in (first, second):
            rows = self.instances(label, task)
            frames.append(rows[(rows["area"] >= low) & (rows["area"] <= high)])
        try:
            return paired(frames[0], frames[1], column, average or self.protocol.average)
        except InputError:  # no object of this size that both have
            return None


def _column(metric: str) -> tuple[str, tuple[float, float], Average | None] | None:
    """Return the column of instances that a metric is the mean of, the limits of area, and its own average if any."""
    if metric == "boundary_iou":
        return "boundary_iou", SIZES[""], None
    if metric == "miou_by_image":
        return "iou", SIZES[""], "image"
    if metric == "miou_by_category":
        return "iou", SIZES[""], "category"
    if re.fullmatch(r"ar\d+", metric):
        return metric, SIZES[""], "instance"
    for choice in ("", "_single", "_oracle"):
        for size, limits in SIZES.items():
            if metric == f"miou{size}{choice}":
                return f"iou{choice}", limits, None
    return None


def studies(runs: Sequence[Run]) -> list[Study]:
    """Return the studies that runs make up, in the runs' order.

    Raises:
        InputError: where a model is in two runs of one study, or two runs asked with different boxes.
    """
    entries = _entries(runs)
    grouped: dict[tuple[str, str], list[tuple[Run, Protocol]]] = {}
    for run in runs:
        for protocol in run.plan.protocols:
            grouped.setdefault((run.plan.dataset.digest, protocol.digest), []).append((run, protocol))
    return [_study(members, entries) for members in grouped.values()]


def chosen(found: Sequence[Study], protocol: str | None) -> Study:
    """Return the study of a protocol's name, the first if None.

    Raises:
        InputError: for a name that none of them has.
    """
    if protocol is None:
        return found[0]
    for study in found:
        if study.protocol.name == protocol:
            return study
    raise unknown("protocol", protocol, [study.protocol.name for study in found])


def _study(members: Sequence[tuple[Run, Protocol]], entries: dict[int, list[Entry]]) -> Study:
    own: dict[tuple[str, str, str, str], Entry] = {}
    frames = []
    boxes: DetectionsIdentity | None = None
    for run, protocol in members:
        if run.plan.detections is not None and any(takes_detections(protocol, task) for task in run.plan.tasks):
            if boxes is not None and boxes.digest != run.plan.detections.digest:
                raise InputError(f"{run.folder} was asked with boxes of {run.plan.detections.name}, another run with"
                                 f" {boxes.name}: they don't belong in one column")  # fmt: skip
            boxes = run.plan.detections
        for entry in entries[id(run)]:
            jobs = {job.task for job in entry.identity.jobs if job.protocol == protocol.name}
            if not jobs:
                continue
            if entry.key in own:
                name = f"{entry.identity.name} under {protocol.name}"
                raise InputError(f"{own[entry.key].run.folder} and {run.folder} both hold {name}: leave one out")
            own[entry.key] = entry
            frames.append(_results(run, protocol, entry))
    finders = {run.plan.boxes_of(protocol, EVERYTHING) for run, protocol in members if EVERYTHING in run.plan.tasks}
    if len(finders) > 1:
        both = " and ".join(sorted(finders))
        raise InputError(f"{members[0][1].name} was run with boxes of {both}: they don't belong in one column")
    results = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)
    run, protocol = members[0]
    return Study(run.plan.dataset, protocol, boxes, list(own.values()), results)


def _results(run: Run, protocol: Protocol, entry: Entry) -> pd.DataFrame:
    rows = run.results.table
    identity = rows["protocol"].str.partition(";")[0]
    own = rows[(identity == protocol.identity) & (rows["model"] == entry.identity.name)].copy()
    own["replaced"] = own["protocol"].str.extract(r";replaced: (.*)", expand=False).fillna("")
    return own.assign(label=entry.label, device=entry.device, dtype=entry.dtype)[COLUMNS]


def _entries(runs: Sequence[Run]) -> dict[int, list[Entry]]:
    """Return the models of each run, labelled so that no two of different weights or conditions are called the same."""
    every = [
        (run, model, run.plan.conditions.device, run.plan.conditions.dtype) for run in runs for model in run.plan.models
    ]
    found: dict[int, list[Entry]] = {id(run): [] for run in runs}
    for run, model, device, dtype in every:
        alike = [(m, d, t) for _, m, d, t in every if m.title == model.title]
        parts = [model.title]
        if len({m.name for m, _, _ in alike}) > 1:
            parts.append(model.name)
        if len({m.weights for m, _, _ in alike}) > 1:
            parts.append(model.short_weights)
        if len({(d, t) for _, d, t in alike}) > 1:
            parts.append(f"{device} {dtype}")
        found[id(run)].append(Entry(", ".join(parts), model, device, dtype, run))
    return found
