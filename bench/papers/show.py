"""A reproduced table, on the terminal and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table as Grid

from bench.papers.cells import Cell
from bench.papers.outcome import Outcome
from bench.papers.run_results import RANDOM, RunResults
from bench.papers.table import Table
from bench.papers.verdict import Verdict, is_part
from bench.report.console import console

COLUMNS = ("id", "table", "model", "dataset", "protocol", "task", "metric", "unit", "paper", "ours", "low", "high",
           "difference", "verdict", "reason", "n", "images", "weights", "measured_under", "paper_hardware",
           "paper_speed", "speed")  # fmt: skip
COLOURS = {Verdict.AGREES: "green", Verdict.DIFFERS: "red", Verdict.NONE: "yellow", Verdict.NOT_RUN: "dim"}


def print_outcomes(table: Table, found: Sequence[Outcome], run: RunResults | None) -> None:
    """Print a table's cells beside ours, what the numbers belong to, and how to get what is missing."""
    out = console()
    for line in _head(table, found, run):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    grid = Grid(
        "model", "data", "measure", "paper", "ours", "difference", "verdict", title=f"{table.name}: {table.title}"
    )
    for outcome in found:
        grid.add_row(*_cells(outcome))
    out.print(grid)
    for line in _foot(found):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def outcomes_csv(found: Sequence[Outcome], run: RunResults | None) -> bytes:
    """Return the cells as CSV, one row each; what there is not is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(outcome, run) for outcome in found)
    return text.getvalue().encode()


def _head(table: Table, found: Sequence[Outcome], run: RunResults | None) -> Iterator[str]:
    yield f"{table.paper}, {', '.join(table.tables)}; preset {table.preset}{'; ' + table.note if table.note else ''}"
    if run is None:
        return
    data = run.plan.dataset
    if not data.comparable:
        yield f"data: {data.name}, drawn by the suite, {data.images} in all: NOT comparable with papers"
    else:
        yield from (_share(cell, run) for cell in _one_of_each_data(found))
    if run.plan.detections is not None:
        yield f"boxes: {run.plan.detections.name}, sha256 {run.plan.detections.digest[:12]}"
    yield f"conditions: {run.plan.conditions.summary}"
    for model in run.plan.models:
        if model.short_weights == RANDOM:
            yield f"{model.name}: RANDOM WEIGHTS; its accuracy means nothing"
        elif not model.official:
            yield f"{model.name}: weights {model.short_weights} aren't proven to be the official ones"


def _one_of_each_data(found: Sequence[Outcome]) -> list[Cell]:
    """Return a measured cell for each dataset of known size."""
    cells = [outcome.cell for outcome in found if outcome.measured is not None and outcome.cell.data.images]
    return list({cell.data.name: cell for cell in cells}.values())


def _share(cell: Cell, run: RunResults) -> str:
    part = "A PART: the paper's value must lie in our interval" if is_part(cell, run) else "all of it"
    data = run.plan.dataset
    return f"data: {data.name}, {run.images} of {cell.data.images} images of {cell.data.title}; {part}"


def _cells(outcome: Outcome) -> tuple[str, ...]:
    cell = outcome.cell
    published = cell.published
    as_printed = published.value is None or published.unit == published.published_unit
    paper = f"{published.published if as_printed else f'{published.value:g}'} {published.unit}"
    colour = COLOURS[outcome.verdict]
    return (
        published.model,
        published.dataset or "-",
        f"{published.metric}{f' ({published.hardware})' if published.hardware else ''}",
        _with_speed(paper, outcome.paper_speed),
        _ours(outcome),
        "" if outcome.difference is None else f"{outcome.difference:+.2f}",
        f"[{colour}]{outcome.verdict}[/{colour}]: {escape(outcome.reason)}",
    )


def _ours(outcome: Outcome) -> str:
    measured = outcome.measured
    if measured is None:
        return ""
    value = _with_speed(f"{measured.value:.2f}", outcome.speed)
    interval = f"[{measured.low:.1f}, {measured.high:.1f}]"
    return value if measured.low != measured.low else f"{value}\n{interval}"


def _with_speed(text: str, speed: float | None) -> str:
    return text if speed is None else f"{text}\n{speed:.1f} x SAM ViT-H's speed"


def _foot(found: Sequence[Outcome]) -> Iterator[str]:
    counts = [(verdict, sum(outcome.verdict == verdict for outcome in found)) for verdict in Verdict]
    yield f"{len(found)} cells: " + ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    if any(outcome.measured is not None for outcome in found):
        yield "ours: brackets are the 95 % bootstrap interval over images"
    yield from dict.fromkeys(f"missing: {outcome.mend}" for outcome in found if outcome.mend)


def _row(outcome: Outcome, run: RunResults | None) -> list[object]:
    cell, measured = outcome.cell, outcome.measured
    published = cell.published
    ours = [_number(value) for value in (measured.value, measured.low, measured.high)] if measured else ["", "", ""]
    under = [_number(measured.n), measured.weights, measured.protocol] if measured else ["", "", ""]
    images = run.images if run is not None and measured is not None and measured.protocol else ""
    return [
        *(published.id, cell.table.name, published.model, published.dataset, cell.preset, cell.task, cell.ours),
        *(published.unit, _number(published.value), *ours, _number(outcome.difference)),
        *(outcome.verdict.value, "; ".join(filter(None, (outcome.reason, outcome.mend)))),
        *(under[0], images, under[1], under[2], published.hardware),
        *(_number(outcome.paper_speed), _number(outcome.speed)),
    ]


def _number(value: float | None) -> float | str:
    return "" if value is None or value != value else round(value, 6)
