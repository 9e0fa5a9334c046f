"""Two models on the same instances, of two runs or of one: is one better than the other?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from adapters.errors import InputError, unknown
from bench.holm import holm
from bench.metrics.paired import Difference, paired
from bench.protocols.difference import difference
from bench.protocols.tasks import NOC, group_of
from bench.runs.folder import RunFolder
from bench.runs.plan import Plan

INSTANCES_FILE = "instances.parquet"


class _Side(NamedTuple):
    """A model of a run: what it is called here, its run's plan and folder."""

    label: str
    model: str
    plan: Plan
    folder: Path


def compare_runs(base: Path, new: Path | None, models: str | None) -> tuple[bool, list[str]]:
    """Return whether new is worse anywhere, and the comparison in sentences.

    Args:
        base: a run's folder.
        new: another's, on the same data under the same protocols; None to compare two models of base.
        models: two of base, separated by a comma; with new, one of base and one of new.

    Raises:
        InputError: where the two can't be compared; it names the difference.
    """
    if new is not None and not (new / "run.json").is_file():
        raise InputError(f"{base} is a run, {new} is none")
    if new is None or models is not None:
        return False, _sentences([_two_models(base, new or base, models)])[1]
    sides = (RunFolder(base).finished_plan(), RunFolder(new).finished_plan())
    _check_alike(*sides)
    common = [own.name for own in sides[1].models if own.name in {other.name for other in sides[0].models}]
    if not common:
        there, here = (", ".join(own.name for own in plan.models) for plan in sides)
        raise InputError(f"no model in common: {there} there, {here} here (--models A,B compares two)")
    return _sentences([(_Side("new", name, sides[1], new), _Side("base", name, sides[0], base)) for name in common])


def _two_models(base: Path, new: Path, models: str | None) -> tuple[_Side, _Side]:
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(
            f"{base} alone is one run: name NEW, or two models of it, --models A,B"
            if base == new
            else "--models takes two models, A,B: one of the first run, one of the second"
        )
    first, second = (_side(name, folder) for name, folder in zip(names, (base, new), strict=True))
    _check_alike(first.plan, second.plan)
    return first, second


def _side(model: str, folder: Path) -> _Side:
    plan = RunFolder(folder).finished_plan()
    if model not in (known := [own.name for own in plan.models]):
        raise unknown(f"model of {folder}", model, known)
    return _Side(model, model, plan, folder)


def _check_alike(base: Plan, new: Plan) -> None:
    """Raise InputError, naming the difference, where the runs are on other data or under other rules."""
    before, now = ((plan.dataset.digest, plan.dataset.images) for plan in (base, new))
    if before != now:
        there, here = (
            f"{own.name}, {own.images} images, sha256 {own.digest[:12]}" for own in (base.dataset, new.dataset)
        )
        raise InputError(f"not comparable: data {there} there, {here} here")
    rules = {protocol.name: protocol for protocol in base.protocols}
    for protocol in new.protocols:
        if protocol.name in rules and (found := difference(rules[protocol.name], protocol)):
            knob = found[0]
            raise InputError(f"not comparable: {protocol.name}'s {knob.key} is {knob.first} there, {knob.second} here")
    if not set(rules) & {protocol.name for protocol in new.protocols}:
        there, here = (", ".join(own.name for own in plan.protocols) for plan in (base, new))
        raise InputError(f"not comparable: protocols {there} there, {here} here")


def _sentences(pairs: Sequence[tuple[_Side, _Side]]) -> tuple[bool, list[str]]:
    """Return whether any first side is worse, and a sentence for each task, the p-values corrected over all of them.

    Raises:
        InputError: where the two sides have no task with instances in common.
    """
    found = [one for pair in pairs for one in _differences(*pair)]
    if not found:
        raise InputError("no task in common that asks about annotated objects: nothing to compare instance by instance")
    corrected = [
        (first, second, task, replace(found_one, p=p))
        for (first, second, task, found_one), p in zip(found, holm([one.p for *_, one in found]), strict=True)
    ]
    lines = []
    for first, second, task, own in corrected:
        model = f"{first.model}, " if first.model == second.model else ""
        lines.append(f"{model}{task}: {own.sentence(first.label, second.label)}")
    lines += [line for pair in pairs for line in _notes(*pair)]
    return any(own.told_apart and own.value < 0 for *_, own in corrected), lines


def _differences(first: _Side, second: _Side) -> Iterator[tuple[_Side, _Side, str, Difference]]:
    """Yield the paired differences in mIoU of all tasks that both have done, first less second."""
    protocols = {protocol.name: protocol for protocol in first.plan.protocols}
    frames = [_instances(side) for side in (first, second)]
    done = [set(map(tuple, frame[["protocol", "task"]].drop_duplicates().to_numpy())) for frame in frames]
    for job in next(own for own in first.plan.models if own.name == first.model).jobs:
        key = (job.protocol, job.task)
        if key in done[0] & done[1] and group_of(job.task) != NOC:
            own, other = (frame[(frame["protocol"] == job.protocol) & (frame["task"] == job.task)] for frame in frames)
            mean = paired(own, other, average=protocols[job.protocol].average)
            yield first, second, f"{job.protocol} {job.task} mIoU", mean


def _instances(side: _Side) -> pd.DataFrame:
    file = side.folder / INSTANCES_FILE
    try:
        return pd.read_parquet(file, filters=[("model", "==", side.model)])
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read ({error})") from None


def _notes(first: _Side, second: _Side) -> Iterator[str]:
    """Yield what else differs between two sides that were compared."""
    identities = [next(own for own in side.plan.models if own.name == side.model) for side in (first, second)]
    if first.model == second.model and identities[0].weights != identities[1].weights:
        yield f"note: {first.model}: weights {identities[1].short_weights} there, {identities[0].short_weights} here"
    before, now = second.plan.conditions.summary, first.plan.conditions.summary
    if before != now:
        yield f"note: conditions: {before} there, {now} here"
    replaced = [{(job.protocol, job.task): job.replaced for job in identity.jobs} for identity in identities]
    for protocol, task in (key for key in replaced[0] if replaced[1].get(key, replaced[0][key]) != replaced[0][key]):
        yield f"note: {protocol} {task}: what a model can't do is replaced on one side alone"
