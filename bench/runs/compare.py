"""Two models, or one under two protocols, on the same instances, of two runs or of one: is one above the other?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from adapters.errors import InputError
from bench.holm import holm
from bench.metrics.paired import Difference, paired
from bench.protocols import Protocol
from bench.protocols.tasks import EVERYTHING, PAIRED_GROUPS, group_of
from bench.runs.plan import Job
from bench.runs.recalls import with_recalls
from bench.runs.sides import JobKey, Pair, Side, two_models, two_protocols, two_runs

INSTANCES_FILE = "instances.parquet"


@dataclass(frozen=True)
class _Compared:
    """A task of a pair: what was measured, and how far the first is above the second."""

    pair: Pair
    what: str
    difference: Difference

    def sentence(self) -> str:
        first, second = self.pair
        better = "is above" if first.protocol is not None else "is better than"
        return f"{_named(self.pair, self.what)}: {self.difference.sentence(first.label, second.label, better)}"


def compare_runs(
    base: Path, new: Path | None, models: str | None, protocols: str | None = None
) -> tuple[bool, list[str]]:
    """Return whether new is worse anywhere, and the comparison in sentences.

    Args:
        base: a run's folder.
        new: another's, on the same data; None to compare two models, or two protocols, of base.
        models: two, separated by a comma, the first of base, the second of new if given; with protocols, the models to
            compare with themselves, all if None.
        protocols: two, separated by a comma, the first of base, the second of new if given.

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
        InputError: where nothing of the sides can be compared; it says why.
    """
    found: list[_Compared] = []
    missing: list[str] = []
    for pair in pairs:
        compared, left_out = _differences(pair)
        found += compared
        missing += [_named(pair, f"{', '.join(tasks)}: {why}") for why, tasks in left_out.items()]
    if not found:
        raise InputError(f"nothing to compare object by object; {'; '.join(missing)}")
    corrected = [
        replace(one, difference=replace(one.difference, p=p))
        for one, p in zip(found, holm([one.difference.p for one in found]), strict=True)
    ]
    worse = any(one.difference.told_apart and one.difference.value < 0 for one in corrected)
    notes = dict.fromkeys(line for pair in pairs for line in _notes(pair))
    return worse, [*(one.sentence() for one in corrected), *notes, *(f"left out: {line}" for line in missing)]


def _differences(pair: Pair) -> tuple[list[_Compared], dict[str, list[str]]]:
    """Return the paired differences of all tasks that both have done, first less second; by why, what was left out."""
    jobs, frames = [side.jobs for side in pair], [_instances(side) for side in pair]
    found: list[_Compared] = []
    left_out: dict[str, list[str]] = {}
    for key in jobs[0] | jobs[1]:
        words = _words(key)
        lacking = [side.label for side, own in zip(pair, jobs, strict=True) if key not in own]
        if lacking:
            left_out.setdefault(f"not done by {lacking[0]}", []).append(words)
            continue
        if group_of(key[1]) not in PAIRED_GROUPS:
            left_out.setdefault("not measured object by object", []).append(words)
            continue
        try:
            both = (jobs[0][key], jobs[1][key])
            found += [_Compared(pair, f"{words} {metric}", own) for metric, own in _of_task(pair, both, frames)]
        except InputError as error:
            left_out.setdefault(str(error), []).append(words)
    return found, left_out


def _of_task(pair: Pair, jobs: tuple[Job, Job], frames: Sequence[pd.DataFrame]) -> Iterator[tuple[str, Difference]]:
    """Yield what a task is measured by, mIoU or AR at each limit that both have, and the difference.

    Raises:
        InputError: where it can't be compared.
    """
    rules = [side.rules(job) for side, job in zip(pair, jobs, strict=True)]
    first, second = (
        frame[(frame["protocol"] == job.protocol) & (frame["task"] == job.task)]
        for frame, job in zip(frames, jobs, strict=True)
    )
    if jobs[0].task != EVERYTHING:
        yield "mIoU", paired(first, second, average=rules[0].average)
        return
    _check_boxes(pair, rules)
    limits = [own.everything.limits for own in rules if own.everything is not None]
    recalls = [_recalls(*one) for one in zip(pair, (first, second), limits, strict=True)]
    for limit in [limit for limit in limits[0] if limit in limits[1]]:
        yield f"AR@{limit}", paired(recalls[0], recalls[1], f"ar{limit}")


def _check_boxes(pair: Pair, rules: Sequence[Protocol]) -> None:
    """Raise InputError where one protocol segmented everything by boxes of two detectors."""
    first, second = (side.plan.boxes_of(own, EVERYTHING) for side, own in zip(pair, rules, strict=True))
    if pair.first.protocol is None and first != second:
        raise InputError(f"asked by boxes of {second} there, of {first} here")


def _recalls(side: Side, rows: pd.DataFrame, limits: Sequence[int]) -> pd.DataFrame:
    if rows.empty:
        raise InputError(f"{side.folder} holds no recall of single objects, as versions before didn't")
    return with_recalls(rows, limits)


def _instances(side: Side) -> pd.DataFrame:
    file = side.folder / INSTANCES_FILE
    try:
        return pd.read_parquet(file, filters=[("model", "==", side.model)])
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read ({error})") from None


def _notes(pair: Pair) -> Iterator[str]:
    """Yield what else differs between two sides that were compared."""
    now, before = pair
    if now.model == before.model and now.identity.weights != before.identity.weights:
        weights = [side.identity.short_weights for side in (before, now)]
        yield f"note: {now.model}: weights {weights[0]} there, {weights[1]} here"
    conditions = [side.plan.conditions.summary for side in (before, now)]
    if conditions[0] != conditions[1]:
        yield f"note: conditions: {conditions[0]} there, {conditions[1]} here"
    if now.protocol is not None and any(key[1] != EVERYTHING for key in now.jobs):
        yield from _note_of_averages(pair)
    jobs = now.jobs, before.jobs
    for key in (key for key in jobs[0] if key in jobs[1] and jobs[0][key].replaced != jobs[1][key].replaced):
        names = now.model if now.model == before.model else f"{now.model} or {before.model}"
        yield f"note: {_words(key)}: what {names} can't do is replaced on one side alone"


def _note_of_averages(pair: Pair) -> Iterator[str]:
    own, other = (
        next(protocol.average for protocol in side.plan.protocols if protocol.name == side.protocol) for side in pair
    )
    if own != other:
        names = pair.first.protocol, pair.second.protocol
        yield f"note: mIoU: {names[0]} averages by {own}, {names[1]} by {other}; here both by {own}"


def _named(pair: Pair, what: str) -> str:
    """Return what is compared, after the model if it is one alone."""
    return f"{pair.first.model}, {what}" if pair.first.model == pair.second.model else what


def _words(key: JobKey) -> str:
    return " ".join(part for part in key if part)
