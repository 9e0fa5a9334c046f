"""Two models, or one under two protocols, on the same instances, of two runs or of one: is one above the other?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from adapters.errors import InputError
from bench.holm import holm
from bench.metrics.paired import Difference, paired
from bench.protocols.tasks import EVERYTHING, NOC, group_of
from bench.runs.recalls import with_recalls
from bench.runs.sides import Pair, Side, two_models, two_protocols, two_runs

INSTANCES_FILE = "instances.parquet"


def compare_runs(
    base: Path, new: Path | None, models: str | None, protocols: str | None = None
) -> tuple[bool, list[str]]:
    """Return whether new is worse anywhere, and the comparison in sentences.

    Args:
        base: a run's folder.
        new: another's, on the same data under the same protocols; None to compare two models of base.
        models: two of base, separated by a comma; with new, one of base and one of new; with protocols any.
        protocols: two, separated by a comma, to compare each model under the first (in base) with itself under the
            second (in new, if given).

    Raises:
        InputError: where the two can't be compared; it names the difference.
    """
    if new is not None and not (new / "run.json").is_file():
        raise InputError(f"{base} is a run, {new} is none")
    if protocols is not None:
        return False, _sentences(two_protocols(base, new or base, models, protocols))[1]
    if new is None or models is not None:
        return False, _sentences([two_models(base, new or base, models)])[1]
    return _sentences(two_runs(base, new))


def _sentences(pairs: Sequence[Pair]) -> tuple[bool, list[str]]:
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
        better = "is above" if first.protocol is not None else "is better than"
        lines.append(f"{model}{task}: {own.sentence(first.label, second.label, better)}")
    lines += [line for pair in pairs for line in _notes(*pair)]
    return any(own.told_apart and own.value < 0 for *_, own in corrected), lines


def _differences(first: Side, second: Side) -> Iterator[tuple[Side, Side, str, Difference]]:
    """Yield the paired differences of all tasks that both have done, mIoU or AR, first less second."""
    protocols = [{protocol.name: protocol for protocol in side.plan.protocols} for side in (first, second)]
    frames = [_instances(side) for side in (first, second)]
    for job in next(own for own in first.plan.models if own.name == first.model).jobs:
        if group_of(job.task) == NOC or first.protocol not in (None, job.protocol):
            continue
        names = (job.protocol, second.protocol or job.protocol)
        own, other = (
            frame[(frame["protocol"] == name) & (frame["task"] == job.task)]
            for frame, name in zip(frames, names, strict=True)
        )
        if own.empty or other.empty:
            continue
        task = job.task if first.protocol is not None else f"{job.protocol} {job.task}"
        rules = [known[name] for known, name in zip(protocols, names, strict=True)]
        if job.task != EVERYTHING:
            yield first, second, f"{task} mIoU", paired(own, other, average=rules[0].average)
            continue
        limits = [one.everything.limits for one in rules if one.everything is not None]
        own, other = (with_recalls(*one) for one in zip((own, other), limits, strict=True))
        for limit in [limit for limit in limits[0] if limit in limits[1]]:
            yield first, second, f"{task} AR@{limit}", paired(own, other, f"ar{limit}")


def _instances(side: Side) -> pd.DataFrame:
    file = side.folder / INSTANCES_FILE
    try:
        return pd.read_parquet(file, filters=[("model", "==", side.model)])
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read ({error})") from None


def _notes(first: Side, second: Side) -> Iterator[str]:
    """Yield what else differs between two sides that were compared."""
    identities = [next(own for own in side.plan.models if own.name == side.model) for side in (first, second)]
    if first.model == second.model and identities[0].weights != identities[1].weights:
        yield f"note: {first.model}: weights {identities[1].short_weights} there, {identities[0].short_weights} here"
    before, now = second.plan.conditions.summary, first.plan.conditions.summary
    if before != now:
        yield f"note: conditions: {before} there, {now} here"
    if first.protocol is not None:
        yield from _notes_of_averages(first, second)
    replaced = [
        {
            (job.protocol if side.protocol is None else "", job.task): job.replaced
            for job in identity.jobs
            if side.protocol in (None, job.protocol)
        }
        for side, identity in zip((first, second), identities, strict=True)
    ]
    for protocol, task in (key for key in replaced[0] if replaced[1].get(key, replaced[0][key]) != replaced[0][key]):
        yield f"note: {f'{protocol} {task}'.strip()}: what a model can't do is replaced on one side alone"


def _notes_of_averages(first: Side, second: Side) -> Iterator[str]:
    own, other = (
        next(protocol.average for protocol in side.plan.protocols if protocol.name == side.protocol)
        for side in (first, second)
    )
    if own != other:
        yield f"note: {first.protocol} averages by {own}, {second.protocol} by {other}; here both by {own}"
