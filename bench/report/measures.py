"""All that a model can be chosen by, under one name each: click1.miou, encode_ms, params_m."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from adapters.errors import unknown
from bench.report.costs import Costs, unit
from bench.report.study import Study


@dataclass(frozen=True)
class Measure:
    """A number of each model.

    Attributes:
        key: TASK.METRIC, or the name of a cost.
        unit: of its values.
        frame: label, value, low, high, replaced; low and high are 95 % limits, NaN where there are none; replaced names
            the protocol's knobs that the model can't do, empty for most.
    """

    key: str
    unit: str
    frame: pd.DataFrame

    def value(self, label: str) -> float | None:
        """Return a model's value, None where it has none."""
        own = self.frame[self.frame["label"] == label]
        return float(own["value"].iloc[0]) if len(own) else None

    def limits(self, label: str) -> tuple[float, float]:
        """Return a model's 95 % interval, the value itself where it has none."""
        row = self.frame[self.frame["label"] == label].iloc[0]
        low, high = (row["value"] if pd.isna(row[side]) else row[side] for side in ("low", "high"))
        return float(low), float(high)

    def replaced(self, label: str) -> str:
        """Return what was done instead of what the protocol says, empty if nothing."""
        own = self.frame[self.frame["label"] == label]
        return str(own["replaced"].iloc[0]) if len(own) else ""


def keys(study: Study, costs: Costs) -> list[str]:
    """Return the names of all measures that any model has."""
    named = study.results[study.results["value"].notna()]
    accuracy = dict.fromkeys(named["task"] + "." + named["metric"])
    return [*accuracy, *costs.keys]


def measure(study: Study, costs: Costs, key: str) -> Measure:
    """Return a measure of all models.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    known = keys(study, costs)
    if key not in known:
        raise unknown("measure", key, known)
    task, dot, metric = key.partition(".")
    if dot:
        frame = study.numbers(task, metric)
        return Measure(key, str(frame["unit"].iloc[0]), frame.drop(columns=["n", "unit"]))
    return Measure(key, unit(key), costs.of(key).assign(replaced=""))
