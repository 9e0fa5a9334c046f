"""What models cost: times of their stages, memory, size. From `sambench latency`'s files, or as taken during a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.cards import cards
from adapters.errors import InputError, unknown
from bench.latency.record import Record, Row
from bench.latency.record import read as read_record
from bench.latency.summary import summary
from bench.report.read import Run
from bench.report.study import Study

COLUMNS = ["label", "key", "value", "low", "high"]
ALIASES = {
    "decode_ms": "decode_point1_ms",
    "postprocess_ms": "postprocess_size_ms",
    "everything_ms": "everything_32_ms",
}
STAGES = ("load", "preprocess", "encode", "decode", "postprocess", "everything")
EACH = {"decode": "prompt", "postprocess": "mask"}
BAR_STAGES = ("preprocess_ms", "encode_ms", "decode_ms", "postprocess_ms")
"""What a first answer is made of."""

WORDS = {
    "load_ms": "to load",
    "preprocess_ms": "to preprocess an image",
    "encode_ms": "to encode an image",
    "decode_ms": "to decode a click",
    "postprocess_ms": "to bring a mask to size",
    "everything_ms": "to segment everything",
    "end_to_end_ms": "from image to first mask",
    "params_m": "million parameters",
    "macs_g": "billion multiply-accumulates to encode",
    "download_mb": "MB to download",
    "peak_rss_mb": "MB of memory at most",
}
MOST_SAMPLES = 2000
"""The interval of a median needs no more."""

UNITS = {"_ms": "ms", "_mb": "MB", "_m": "M", "_g": "G"}


@dataclass(frozen=True)
class Costs:
    """What models cost under one condition.

    Attributes:
        frame: label, key, value, low, high; times in ms, sizes in MB, parameters in millions (params_m),
            multiply-accumulates in billions (macs_g). low and high are the 95 % interval of a median, NaN for what is
            counted.
        condition: device, precision and runtime.
        machine: where the times were taken, in a line.
        source: how they were taken, in a line.
        others: conditions that were measured, too, and aren't shown.
        failed: rows that have no time, and why.
    """

    frame: pd.DataFrame
    condition: str
    machine: str
    source: str
    others: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def of(self, key: str) -> pd.DataFrame:
        """Return one row a model: label, value, low, high."""
        own = self.frame[self.frame["key"] == ALIASES.get(key, key)]
        own = own if len(own) else self.frame[self.frame["key"] == key]
        return own[["label", "value", "low", "high"]].reset_index(drop=True)

    @property
    def keys(self) -> list[str]:
        """The keys that any model has a value for."""
        known = list(dict.fromkeys(self.frame["key"]))
        return known + [alias for alias, key in ALIASES.items() if key in known and alias not in known]


def unit(key: str) -> str:
    """Return the unit that a key ends with."""
    return next((name for ending, name in UNITS.items() if key.endswith(ending)), "")


def costs(study: Study, files: Sequence[Path], condition: str | None = None) -> Costs:
    """Return what a study's models cost.

    Args:
        study: the models.
        files: of `sambench latency`; none: the samples taken during the runs.
        condition: device/dtype/runtime; None: the one that most models were measured under.

    Raises:
        InputError: where a file can't be used, files are of several machines, or the condition isn't there.
    """
    if files:
        return _from_files(study, [(path, _read(path)) for path in files], condition)
    return _from_runs(study)


def _read(path: Path) -> Record:
    record = read_record(path)
    if record.status != "complete":
        raise InputError(f"{path} is {record.status}: the command that began it ends it")
    return record


def _from_files(study: Study, records: Sequence[tuple[Path, Record]], condition: str | None) -> Costs:
    first_path, first = records[0]
    for path, record in records[1:]:
        for part in ("cpu", "gpu", "cores"):
            if record.machine.get(part) != first.machine.get(part):
                raise InputError(
                    f"{path} was measured on another machine than {first_path} ({part}:"
                    f" {record.machine.get(part)}, {first.machine.get(part)}): their times don't belong in one column"
                )
    rows = [row for _, record in records for row in record.rows]
    _check_once(rows)
    conditions = _conditions(rows, study)
    if condition is None:
        condition = conditions[0]
    elif condition not in conditions:
        raise unknown("condition", condition, conditions)
    chosen = [row for row in rows if _condition(row) == condition]
    found = [*_counted(study), *_timed(chosen, study)]
    place = first.machine.get("gpu") if not condition.startswith("cpu") else first.machine.get("cpu")
    return Costs(
        frame=_latest(found),
        condition=condition,
        machine=f"{place}, {first.environment.get('threads')} threads",
        source="measured stage by stage, each condition in a process of its own (sambench latency)",
        others=tuple(other for other in conditions if other != condition),
        failed=tuple(
            f"{row.model}, {row.stage}, {_condition(row)}: {row.reason or row.status}"
            for row in rows
            if row.status != "measured"
        ),
    )


def _check_once(rows: Iterable[Row]) -> None:
    for key, count in Counter(row.key for row in rows).items():
        if count > 1:
            raise InputError(f"{key[0]}'s {key[5]} ({'/'.join(key[2:5])}) is in several --latency files: leave one out")


def _condition(row: Row) -> str:
    return f"{row.device}/{row.dtype}/{row.runtime}"


def _conditions(rows: Sequence[Row], study: Study) -> list[str]:
    """Return the conditions, that of most of the study's models first, plain ones first among equals."""
    known = {(entry.identity.name, entry.identity.short_weights) for entry in study.entries}
    models: dict[str, set[str]] = {}
    for row in rows:
        if row.status == "measured" and (row.model, row.weights) in known:
            models.setdefault(_condition(row), set()).add(row.model)
    if not models:
        raise InputError("--latency: nothing in it is of the run's models with the run's weights")
    return sorted(models, key=lambda one: (-len(models[one]), not one.endswith("/fp32/eager"), one))


def _timed(rows: Sequence[Row], study: Study) -> Iterator[tuple[Any, ...]]:
    for entry in study.entries:
        own = [
            row
            for row in rows
            if (row.model, row.weights) == (entry.identity.name, entry.identity.short_weights)
            and row.status == "measured"
        ]
        for row in own:
            if row.median is not None:
                times = [1000 * value if value is not None else None for value in (row.median, row.low, row.high)]
                yield (entry.label, f"{row.stage}_ms", *times)
            if row.macs and row.stage == "encode":
                yield (entry.label, "macs_g", row.macs / 1e9, None, None)
            if row.parameters:
                yield (entry.label, "params_m", row.parameters / 1e6, None, None)
        peaks = [row.peak_rss_mb for row in own if row.peak_rss_mb is not None]
        if peaks:
            yield (entry.label, "peak_rss_mb", max(peaks), None, None)


def _from_runs(study: Study) -> Costs:
    """Return times taken while running, where all runs were made under the same conditions."""
    runs = list({id(entry.run): entry.run for entry in study.entries}.values())
    first = runs[0].plan.conditions
    here = [run for run in runs if _place(run) == _place(runs[0])]
    found = list(_counted(study))
    for entry in study.entries:
        if any(entry.run is run for run in here):
            found += _while_running(entry.label, entry.identity.name, entry.run, study.protocol.name)
    source = (
        "taken while running; a prompt's time is its share of a call that answers several,"
        " and the time to a first mask is the sum of its stages' medians"
    )
    if len(here) < len(runs):
        source += "; only of models that were run under these conditions"
    return Costs(_with_sums(_latest(found)), f"{first.device}/{first.dtype}/eager", first.summary, source)


def _place(run: Run) -> tuple[Any, ...]:
    conditions = run.plan.conditions
    return conditions.device, conditions.dtype, conditions.cpu, conditions.gpu, conditions.threads


def _while_running(label: str, model: str, run: Run, protocol: str) -> Iterator[tuple[Any, ...]]:
    samples = run.results.latency
    samples = samples[(samples["model"] == model) & samples["protocol"].isin(["", protocol])]
    for stage in STAGES:
        own = samples[samples["stage"] == stage]
        if not len(own):
            continue
        seconds = own["seconds"]
        if stage in EACH:
            seconds = seconds / own["n_prompts"].clip(lower=1)
        told = summary(seconds.to_numpy()[:MOST_SAMPLES].tolist())
        yield (label, f"{stage}_ms", *(1000 * told[name] for name in ("median", "low", "high")))


def _with_sums(frame: pd.DataFrame) -> pd.DataFrame:
    """Add end_to_end_ms as the sum of stages; its limits are the sums of theirs, so that the interval is too wide."""
    rows = []
    for label, own in frame[frame["key"].isin(BAR_STAGES)].groupby("label", sort=False):
        sums = own[["value", "low", "high"]].sum()
        if {"encode_ms", "decode_ms"} <= set(own["key"]):
            rows.append((label, "end_to_end_ms", *sums))
    return _latest([*frame.itertuples(index=False, name=None), *rows])


def _counted(study: Study) -> Iterator[tuple[Any, ...]]:
    """Yield what the models' cards say."""
    for entry in study.entries:
        card = cards().get(entry.identity.name)
        if card is None:
            continue
        if card.parameters is not None:
            yield (entry.label, "params_m", card.parameters / 1e6, None, None)
        if card.checkpoint is None:
            yield (entry.label, "download_mb", 0.0, None, None)
        elif card.checkpoint.bytes is not None:
            yield (entry.label, "download_mb", card.checkpoint.bytes / 1e6, None, None)
        if card.parameters == 0:
            yield (entry.label, "encode_ms", 0.0, 0.0, 0.0)


def _latest(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Return the rows; what was measured takes the place of what a card says."""
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "low": float, "high": float})
    return frame.drop_duplicates(["label", "key"], keep="last").reset_index(drop=True)
