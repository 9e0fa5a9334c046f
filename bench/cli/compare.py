"""sambench compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from adapters.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from bench.latency.compare import Compared, Comparison
    from bench.metrics.paired import Difference
    from bench.runs.plan import Plan

FAILED = 1
INSTANCES_FILE = "instances.parquet"
COLOURS = {"slower": "red", "faster": "green", "same": "", "can't tell": "yellow"}


def compare(
    base: Annotated[Path, typer.Argument(help="A latency file, a run's folder, or where pytest-benchmark stores.")],
    new: Annotated[Path | None, typer.Argument(help="What is held against it, of the same kind.")] = None,
    models: Annotated[str | None, typer.Option(help="Compare two models of one run, A,B.")] = None,
    relative: Annotated[
        str | None, typer.Option(help="Latency: compare ratios to this model, across machines too.")
    ] = None,
    minimum: Annotated[float, typer.Option(help="Latency: the least change that counts, in percent.")] = 3.0,
) -> None:
    """Say of each number whether it changed, and of each change whether chance explains it. Exits 1 if one is worse.

    Two latency files: slower, faster, same or can't tell, row by row. Two runs, or two models of one: better or worse
    on the same instances. A folder in which `pytest --benchmark-autosave` stores: its last two files.
    """
    from bench.report.console import console

    if (base / "run.json").is_file():
        if relative is not None:
            raise InputError("--relative belongs to latency files")
        worse, lines = _runs(base, new, models)
        for line in lines:
            console().print(line, highlight=False, markup=False, soft_wrap=True)
    elif models is not None:
        raise InputError(f"--models belongs to a run's folder; {base} holds no run.json")
    else:
        worse = _latency(base, new, relative, minimum / 100)
    if worse:
        raise typer.Exit(FAILED)


def print_comparison(comparison: Comparison) -> None:
    """Print a comparison of latency: a table, what was left out, and what else differs."""
    from bench.report.console import console

    out = console()
    out.print(_table(comparison))
    counts = {verdict: len(comparison.having(verdict)) for verdict in COLOURS}  # type: ignore[arg-type]
    lines = [", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)]
    lines += [f"not compared: {why}" for why in comparison.left_out]
    lines += [f"note: {remark}" for remark in comparison.remarks]
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _latency(base: Path, new: Path | None, relative: str | None, minimum: float) -> bool:
    """Compare two files of durations, print it, and return whether anything is slower."""
    from bench.latency.compare import compare as compare_records
    from bench.latency.compare import regressed
    from bench.latency.compare_benchmarks import newest
    from bench.latency.record_file import read
    from bench.report.console import console

    if new is None:
        if not base.is_dir():
            raise InputError(f"{base} is held against what? NEW is missing")
        files = newest(base)
        if len(files) == 1:
            console().print(f"{files[0]} is the first: nothing to compare it with", highlight=False, soft_wrap=True)
            return False
        base, new = files
    elif (new / "run.json").is_file():
        raise InputError(f"{new} is a run, {base} is none")
    comparison = compare_records(read(base), read(new), minimum, relative)
    print_comparison(comparison)
    return regressed(comparison)


def _table(comparison: Comparison) -> Table:
    from rich.table import Table

    what = f"ratios to {comparison.relative}" if comparison.relative else "durations"
    title = f"{what}, new by base; changes of {100 * comparison.minimum:g} % count"
    times = () if comparison.relative else ("base ms", "new ms")
    table = Table("model", "stage", "condition", *times, "ratio [95 %]", "samples", "verdict", title=title)
    for row in comparison.rows:
        found = row.effect
        milliseconds = () if comparison.relative else (_ms(row.base.samples), _ms(row.new.samples))
        table.add_row(
            row.new.model,
            row.new.stage if row.new.batch == 1 else f"{row.new.stage}, batch {row.new.batch}",
            _condition(row),
            *milliseconds,
            f"{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]",
            f"{len(row.base.samples)}, {len(row.new.samples)}",
            _verdict(row),
            style=COLOURS[row.verdict] or None,
        )
    return table


def _condition(row: Compared) -> str:
    return f"{row.new.device} {row.new.dtype} {row.new.runtime}, {row.new.weights}"


def _ms(samples: Sequence[float]) -> str:
    from statistics import median

    return f"{1000 * median(samples):.4g}"


def _verdict(row: Compared) -> str:
    from bench.latency.compare_rule import MOST_SAMPLES

    if row.more is None:
        return row.verdict
    more = f"over {MOST_SAMPLES}" if row.more >= MOST_SAMPLES else str(row.more)
    return f"{row.verdict}: {more} more samples"


class _Side(NamedTuple):
    """A model of a run: what it is called here, its run's plan and folder."""

    label: str
    model: str
    plan: Plan
    folder: Path


def _runs(base: Path, new: Path | None, models: str | None) -> tuple[bool, list[str]]:
    """Return whether new is worse anywhere, and the comparison in sentences."""
    if new is None:
        return False, _sentences(_two_models(base, models))[1]
    if models is not None:
        raise InputError("--models compares two models of one run: leave NEW out")
    if not (new / "run.json").is_file():
        raise InputError(f"{base} is a run, {new} is none")
    sides = (_plan(base), _plan(new))
    _check_alike(*sides)
    common = [own.name for own in sides[1].models if own.name in {other.name for other in sides[0].models}]
    if not common:
        there, here = (", ".join(own.name for own in plan.models) for plan in sides)
        raise InputError(f"no model in common: {there} there, {here} here (--models compares two of one run)")
    return _sentences([(_Side("new", name, sides[1], new), _Side("base", name, sides[0], base)) for name in common])


def _two_models(folder: Path, models: str | None) -> list[tuple[_Side, _Side]]:
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(f"{folder} alone is one run: name NEW, or two models of it, --models A,B")
    plan = _plan(folder)
    for name in names:
        if name not in (known := [own.name for own in plan.models]):
            raise unknown(f"model of {folder}", name, known)
    return [(_Side(names[0], names[0], plan, folder), _Side(names[1], names[1], plan, folder))]


def _plan(folder: Path) -> Plan:
    """Return the plan of a finished run.

    Raises:
        InputError: where the run isn't finished, or its run.json can't be understood.
    """
    from pydantic import ValidationError

    from bench.runs.folder import RunFolder
    from bench.runs.plan import Plan

    record = RunFolder(folder).record() or {}
    if record.get("status") != "complete":
        raise InputError(f"the run in {folder} is {record.get('status')}: the command that began it ends it")
    try:
        return Plan.model_validate(record.get("plan"))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{folder}/run.json: plan.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _check_alike(base: Plan, new: Plan) -> None:
    """Raise InputError, naming the difference, where the runs are on other data or under other rules."""
    from bench.protocols.difference import difference

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
    from dataclasses import replace

    from bench.latency.compare_rule import holm

    found = [one for pair in pairs for one in _differences(*pair)]
    if not found:
        raise InputError("no task in common that asks about annotated objects: nothing to compare instance by instance")
    corrected = [
        (first, second, task, replace(difference, p=p))
        for (first, second, task, difference), p in zip(
            found, holm([difference.p for *_, difference in found]), strict=True
        )
    ]
    lines = []
    for first, second, task, difference in corrected:
        model = f"{first.model}, " if first.model == second.model else ""
        lines.append(f"{model}{task}: {difference.sentence(first.label, second.label)}")
    lines += [line for pair in pairs for line in _notes(*pair)]
    return any(own.told_apart and own.value < 0 for *_, own in corrected), lines


def _differences(first: _Side, second: _Side) -> Iterator[tuple[_Side, _Side, str, Difference]]:
    """Yield the paired differences in mIoU of all tasks that both have done, first less second."""
    from bench.metrics.paired import paired
    from bench.protocols.tasks import NOC, group_of

    protocols = {protocol.name: protocol for protocol in first.plan.protocols}
    frames = [_instances(side) for side in (first, second)]
    done = [set(map(tuple, frame[["protocol", "task"]].drop_duplicates().to_numpy())) for frame in frames]
    for job in next(own for own in first.plan.models if own.name == first.model).jobs:
        key = (job.protocol, job.task)
        if key in done[0] & done[1] and group_of(job.task) != NOC:
            own, other = (frame[(frame["protocol"] == job.protocol) & (frame["task"] == job.task)] for frame in frames)
            difference = paired(own, other, average=protocols[job.protocol].average)
            yield first, second, f"{job.protocol} {job.task} mIoU", difference


def _instances(side: _Side) -> pd.DataFrame:
    import pandas as pd

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
