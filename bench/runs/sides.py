"""What of two runs, or of one, is held against what; and whether it may be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.errors import InputError, unknown
from bench.protocols import Protocol
from bench.protocols.difference import difference
from bench.runs.folder import RunFolder
from bench.runs.plan import Job, ModelIdentity, Plan

JobKey = tuple[str, str]


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

    @property
    def identity(self) -> ModelIdentity:
        """The model as the run has it."""
        return next(own for own in self.plan.models if own.name == self.model)

    @property
    def jobs(self) -> dict[JobKey, Job]:
        """What the model was asked, by protocol and task; by task alone where the protocol is one alone."""
        return {
            (job.protocol if self.protocol is None else "", job.task): job
            for job in self.identity.jobs
            if self.protocol in (None, job.protocol)
        }

    def rules(self, job: Job) -> Protocol:
        """Return a job's protocol."""
        return next(protocol for protocol in self.plan.protocols if protocol.name == job.protocol)


class Pair(NamedTuple):
    """Two sides that are held against each other."""

    first: Side
    second: Side


def two_runs(base: Path, new: Path) -> list[Pair]:
    """Return each model that both runs have, of new and of base.

    Raises:
        InputError: where the runs are on other data or under other rules, or have no model in common.
    """
    before, now = _plans((base, new))
    _check_alike(before, now)
    return [Pair(Side("new", name, now, new), Side("base", name, before, base)) for name in _common_models(before, now)]


def two_models(base: Path, new: Path, models: str | None) -> Pair:
    """Return two models, A,B, of one run, or one of base and one of new.

    Raises:
        InputError: for other than two that are there, and as for two runs.
    """
    names = _split(models)
    if len(names) != 2:
        raise InputError(
            f"{base} alone is one run: name NEW, or two of its models, --models A,B, or protocols, --protocols A,B"
            if base == new
            else "--models takes two models, A,B: one of the first run, one of the second"
        )
    plans = _plans((base, new))
    _check_models(names[:1], plans[0], base)
    _check_models(names[1:], plans[1], new)
    _check_alike(*plans)
    return Pair(*(Side(name, name, plan, run) for name, plan, run in zip(names, plans, (base, new), strict=True)))


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
    if len(names) != 2:
        raise InputError(f"--protocols takes two protocols, A,B, not {protocols!r}: the first of the first run")
    plans = _plans((base, new))
    for name, plan, folder in zip(names, plans, (base, new), strict=True):
        if name not in (known := [own.name for own in plan.protocols]):
            raise unknown(f"protocol of {folder}", name, known)
    _check_data(*plans)
    chosen = _split(models) or _common_models(*plans)
    for plan, folder in zip(plans, (base, new), strict=True):
        _check_models(chosen, plan, folder)
    return [
        Pair(Side(names[0], model, plans[0], base, names[0]), Side(names[1], model, plans[1], new, names[1]))
        for model in chosen
    ]


def _plans(folders: tuple[Path, Path]) -> tuple[Plan, Plan]:
    return RunFolder(folders[0]).finished_plan(), RunFolder(folders[1]).finished_plan()


def _split(names: str | None) -> list[str]:
    """Return names separated by commas, none twice."""
    return list(dict.fromkeys(name.strip() for name in (names or "").split(",") if name.strip()))


def _common_models(before: Plan, now: Plan) -> list[str]:
    names = {own.name for own in before.models}
    common = [own.name for own in now.models if own.name in names]
    if not common:
        there, here = (", ".join(own.name for own in plan.models) for plan in (before, now))
        raise InputError(f"no model in common: {there} there, {here} here (--models A,B compares two)")
    return common


def _check_models(models: Sequence[str], plan: Plan, folder: Path) -> None:
    known = [own.name for own in plan.models]
    for model in models:
        if model not in known:
            raise unknown(f"model of {folder}", model, known)


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
