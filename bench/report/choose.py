"""Choosing a model: who meets the requirements, who is best of them, and who can't be told apart from the best."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.errors import InputError
from bench.metrics.paired import Difference
from bench.report.costs import Costs
from bench.report.measures import Measure, measure
from bench.report.study import Study

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
LEAST_IMAGES = 6
"""With fewer, no test by exchanging two models image by image could reach 5 %."""

SIGNS = {"<=": "≤", ">=": "≥"}
_REQUIREMENT = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|<|>)\s*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Requirement:
    """A limit that a measure must keep, such as encode_ms ≤ 50."""

    key: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        return f"{self.key} {SIGNS.get(self.comparison, self.comparison)} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return COMPARISONS[self.comparison](value, self.limit)


@dataclass(frozen=True)
class Objective:
    """What is to be as great, or as small, as can be."""

    key: str
    greatest: bool = True

    def __str__(self) -> str:
        return f"{'greatest' if self.greatest else 'least'} {self.key}"


@dataclass(frozen=True)
class Standing:
    """A model that meets the requirements.

    Attributes:
        label: the model.
        value, low, high: of the objective.
        apart: whether it can be told apart from the winner.
        why: how that was found.
        difference: from the winner by the paired test, where there is one; winner minus this.
        doubtful: requirements whose limit lies within the model's interval.
    """

    label: str
    value: float
    low: float
    high: float
    apart: bool
    why: str
    difference: Difference | None = None
    doubtful: tuple[Requirement, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What came of choosing.

    Attributes:
        objective, requirements: what was asked.
        unit: of the objective.
        standings: who meets the requirements, best first; the winner is the first.
        excluded: by model, why it doesn't.
    """

    objective: Objective
    requirements: tuple[Requirement, ...]
    unit: str
    standings: tuple[Standing, ...]
    excluded: dict[str, tuple[str, ...]]

    @property
    def winner(self) -> Standing | None:
        """The best, None if no model meets the requirements."""
        return self.standings[0] if self.standings else None

    @property
    def tied(self) -> tuple[Standing, ...]:
        """Who can't be told apart from the winner at 95 %."""
        return tuple(standing for standing in self.standings[1:] if not standing.apart)


def requirement(text: str) -> Requirement:
    """Return a requirement from ``KEY<=NUMBER``, also with >=, < and >.

    Raises:
        InputError: for anything else.
    """
    found = _REQUIREMENT.fullmatch(text)
    if not found:
        raise InputError(f"--require {text!r}: KEY<=NUMBER or KEY>=NUMBER needed, such as encode_ms<=50")
    return Requirement(found[1], found[2], float(found[3]))


def choose(study: Study, costs: Costs, objective: Objective, requirements: Sequence[Requirement] = ()) -> Choice:
    """Return who is best of those that meet the requirements, by the values as they were measured.

    Who was asked otherwise than the protocol says, because the model can't do it, is excluded: its number is another.
    Equal values keep the order of the models' names.

    Raises:
        InputError: for a measure that isn't there; it says the nearest one that is.
    """
    aim = measure(study, costs, objective.key)
    limits = {asked: measure(study, costs, asked.key) for asked in requirements}
    excluded = {label: _reasons(label, aim, limits) for label in study.labels}
    sign = -1 if objective.greatest else 1
    able = [label for label, reasons in excluded.items() if not reasons]
    ordered = sorted(able, key=lambda label: (sign * (aim.value(label) or 0.0), label))
    standings = [_standing(study, aim, label, ordered[0], limits) for label in ordered]
    return Choice(
        objective,
        tuple(requirements),
        aim.unit,
        tuple(standings),
        {label: reasons for label, reasons in excluded.items() if reasons},
    )


def _reasons(label: str, aim: Measure, limits: dict[Requirement, Measure]) -> tuple[str, ...]:
    """Return why a model is out of the question, nothing if it isn't."""
    reasons = []
    for asked, own in limits.items():
        value = own.value(label)
        if value is None:
            reasons.append(f"{asked.key} isn't known")
        elif own.replaced(label):
            reasons.append(f"{asked.key} was measured with {own.replaced(label)} instead")
        elif not asked.holds(value):
            reasons.append(f"{asked} isn't met: {told(value)} {own.unit}".rstrip())
    if aim.value(label) is None:
        reasons.append(f"{aim.key} isn't known")
    elif aim.replaced(label):
        reasons.append(f"{aim.key} was measured with {aim.replaced(label)} instead")
    return tuple(reasons)


def _standing(study: Study, aim: Measure, label: str, winner: str, limits: dict[Requirement, Measure]) -> Standing:
    value, (low, high) = aim.value(label), aim.limits(label)
    assert value is not None
    doubtful = tuple(
        asked for asked, own in limits.items() if own.limits(label)[0] <= asked.limit <= own.limits(label)[1]
        and own.limits(label)[0] < own.limits(label)[1]
    )  # fmt: skip
    if label == winner:
        return Standing(label, value, low, high, apart=False, why="", doubtful=doubtful)
    apart, why, difference = _told_apart(study, aim, winner, label)
    return Standing(label, value, low, high, apart, why, difference, doubtful)


def _told_apart(study: Study, aim: Measure, winner: str, label: str) -> tuple[bool, str, Difference | None]:
    """Say whether two models differ: by the paired test where objects have numbers, by their intervals elsewhere."""
    task, dot, metric = aim.key.partition(".")
    if dot:
        difference = study.difference(winner, label, task, metric)
        if difference is not None:
            return difference.told_apart, f"paired test, p = {difference.p:.2g}", difference
    if dot and study.data.images < LEAST_IMAGES:
        return False, f"{study.data.images} images can't tell", None
    ours, theirs = aim.limits(winner), aim.limits(label)
    if theirs[1] < ours[0] or ours[1] < theirs[0]:
        return True, "intervals don't meet" if ours[0] < ours[1] else "", None
    return False, "intervals meet", None


def told(value: float) -> str:
    """Return a number to three digits or so."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
