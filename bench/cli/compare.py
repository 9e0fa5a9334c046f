"""sambench compare."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from bench.latency.compare import Compared, Comparison

FAILED = 1
COLOURS = {"slower": "red", "faster": "green", "same": "", "can't tell": "yellow"}


def compare(
    base: Annotated[Path, typer.Argument(help="A latency file, a run's folder, or where pytest-benchmark stores.")],
    new: Annotated[Path | None, typer.Argument(help="What is held against it, of the same kind.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Two models, A,B, of one run or of two; with --protocols, which ones.")
    ] = None,
    protocols: Annotated[
        str | None, typer.Option(help="Two protocols, A,B, of one run or of two, model by model.")
    ] = None,
    relative: Annotated[
        str | None, typer.Option(help="Latency: compare ratios to this model, across machines too.")
    ] = None,
    minimum: Annotated[float, typer.Option(help="Latency: the least change that counts, in percent.")] = 3.0,
) -> None:
    """Say of each number whether it changed, and of each change whether chance explains it.

    Two latency files: slower, faster, same or can't tell, row by row. Two runs, two models or two protocols: better or
    worse on the same objects. A folder in which `pytest --benchmark-autosave` stores: its last two files. Exits 1 if a
    row is slower, or a model of two runs worse.
    """
    from bench.report.console import console
    from bench.runs.compare import compare_runs

    if (base / "run.json").is_file():
        if relative is not None:
            raise InputError("--relative belongs to latency files")
        worse, lines = compare_runs(base, new, models, protocols)
        for line in lines:
            console().print(line, highlight=False, markup=False, soft_wrap=True)
    elif models is not None or protocols is not None:
        option = "--models" if models is not None else "--protocols"
        raise InputError(f"{option} belongs to a run's folder; {base} holds no run.json")
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

    if not base.exists():
        raise InputError(f"{base} is missing: a latency file, a run's folder or stored benchmarks needed")
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

    if row.verdict != "can't tell":
        return row.verdict
    if row.hindered_by == "processes":
        return f"{row.verdict}: processes of one code are as far apart; more of them, or measure in turn"
    if row.more is None:
        way = "slower" if row.drift > 0 else "faster"
        return f"{row.verdict}: the machine itself was {100 * (exp(abs(row.drift)) - 1):.0f} % {way}; measure in turn"
    more = f"over {MOST_SAMPLES}" if row.more >= MOST_SAMPLES else str(row.more)
    return f"{row.verdict}: {more} more samples"
