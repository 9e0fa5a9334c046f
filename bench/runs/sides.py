"""What of two runs, or of one, is held against what; and whether it may be."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from adapters.errors import InputError, unknown
from bench.protocols.difference import difference
from bench.runs.folder import RunFolder
from bench.runs.plan import Plan


class Side(NamedTuple):
    """Attributes:
    label: what it is called here.
    model: of which model.
    plan, folder: the run's.
    protocol: if it is one alone.
    """

    label: str
    model: str
    plan: Plan
    folder: Path
    protocol: str | None = None


Pair = tuple[Side, Side]


def two_runs(base: Path, new: Path) -> list[Pair]:
    """Return each model that both runs have, of new and of base.

    Raises:
        InputError: where the runs are on other data or under other rules, or have no model in common.
    """
    before, now = (RunFolder(folder).finished_plan() for folder in (base, new))
    _check_alike(before, now)
    common = _common_models(before, now)
    if not common:
        there, here = (", ".join(own.name for own in plan.models) for plan in (before, now))
        raise InputError(f"no model in common: {there} there, {here} here (--models A,B compares two)")
    return [(Side("new", name, now, new), Side("base", name, before, base)) for name in common]


def two_models(base: Path, new: Path, models: str | None) -> Pair:
    """Return two models, A,B, of one run, or one of base and one of new.

    Raises:
        InputError: for other than two that are there, and as for two runs.
    """
    names = _split(models)
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(
            f"{base} alone is one run: name NEW, or two models of it, --models A,B"
            if base == new
            else "--models takes two models, A,B: one of the first run, one of the second"
        )
    first, second = (_side(name, folder) for name, folder in zip(names, (base, new), strict=True))
    _check_alike(first.plan, second.plan)
    return first, second


def two_protocols(base: Path, new: Path, models: str | None, protocols: str) -> list[Pair]:
    """Return models under two protocols, A,B: the first in base, the second in new, which may be the same run.

    Args:
        base, new: runs' folders.
        models: which, separated by commas; None for all that both have.
        protocols: two.

    Raises:
        InputError: for a model or protocol that isn't there, or runs on other data.
    """
    names = _split(protocols)
    if len(names) != 2 or (names[0] == names[1] and base == new):
        raise InputError("--protocols takes two protocols, A,B, of one run; or one of the first, one of the second")
    plans = [RunFolder(folder).finished_plan() for folder in (base, new)]
    for name, plan, folder in zip(names, plans, (base, new), strict=True):
        if name not in (known := [own.name for own in plan.protocols]):
            raise unknown(f"protocol of {folder}", name, known)
    _check_data(*plans)
    chosen = _split(models) or _common_models(*plans)
    if not chosen:
        raise InputError(f"{base} and {new} have no model in common")
    return [
        (_side(model, base)._replace(label=names[0], protocol=names[0]),
         _side(model, new)._replace(label=names[1], protocol=names[1])) for model in chosen
    ]  # fmt: skip


def _common_models(first: Plan, second: Plan) -> list[str]:
    there = {own.name for own in first.models}
    return [own.name for own in second.models if own.name in there]


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _side(model: str, folder: Path) -> Side:
    plan = RunFolder(folder).finished_plan()
    if model not in (known := [own.name for own in plan.models]):
        raise unknown(f"model of {folder}", model, known)
    return Side(model, model, plan, folder)


def _check_alike(base: Plan, new: Plan) -> None:
    """Raise InputError, naming the difference, where the runs are on other data or under other rules."""
    _check_data(base, new)
    rules = {protocol.name: protocol for protocol in base.protocols}
    for protocol in new.protocols:
        if protocol.name in rules and (found := difference(rules[protocol.name], protocol)):
            knob = found[0]
            raise InputError(f"not comparable: {protocol.name}'s {knob.key} is {knob.first} there, {knob.second} here")
    if not set(rules) & {protocol.name for protocol in new.protocols}:
        there, here = (", ".join(own.name for own in plan.protocols) for plan in (base, new))
        raise InputError(f"not comparable: protocols {there} there, {here} here")


def _check_data(base: Plan, new: Plan) -> None:
    before, now = ((plan.dataset.digest, plan.dataset.images) for plan in (base, new))
    if before != now:
        there, here = (
            f"{own.name}, {own.images} images, sha256 {own.digest[:12]}" for own in (base.dataset, new.dataset)
        )
        raise InputError(f"not comparable: data {there} there, {here} here")
