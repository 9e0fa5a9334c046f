"""Many runs as tables: one for each protocol on each dataset, so that a column never mixes what doesn't compare."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import InputError, unknown
from bench.protocols.tasks import DETECTOR_BOX, EVERYTHING, NOC, WORDS, group_of, number_of
from bench.report.read import Run, read_run
from bench.report.study import Study, studies
from bench.runs.folder import RUN_FILE

CELL = ("value", "low", "high", "n", "replaced")


@dataclass(frozen=True)
class Cell:
    """A number. replaced: what was done instead of what the protocol says; such a number isn't ranked."""

    value: float
    low: float
    high: float
    n: int
    replaced: str


@dataclass(frozen=True)
class Board:
    """A table.

    Attributes:
        study: whose numbers they are.
        columns: TASK.METRIC.
        rows: a model's label and its cells, by column; best of the first column first.
    """

    study: Study
    columns: tuple[str, ...]
    rows: tuple[tuple[str, dict[str, Cell]], ...]


def find_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """Return the finished runs under a folder, and why others were left out.

    Raises:
        InputError: where there is no finished run.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}")
    runs, left_out = [], []
    for file in sorted(folder.rglob(RUN_FILE)):
        try:
            runs.append(read_run(file.parent))
        except InputError as error:
            left_out.append(str(error))
    if not runs:
        raise InputError("; ".join([f"no finished run under {folder}", *left_out]))
    return runs, left_out


def boards(runs: Sequence[Run], columns: Sequence[str] = (), protocol: str | None = None) -> list[Board]:
    """Return a table for each protocol and dataset.

    Args:
        runs: finished ones.
        columns: TASK.METRIC; the main metric of every task, if none is named. Named ones are wanted in one table.
        protocol: only this one's.

    Raises:
        InputError: where named columns would have to mix protocols or data, or aren't there.
    """
    found = [study for study in studies(runs) if protocol is None or study.protocol.name == protocol]
    if not found:
        raise unknown("protocol", str(protocol), [rules.name for run in runs for rules in run.plan.protocols])
    if columns:
        found = [study for study in found if any(_has(study, column) for column in columns)]
        _check_one(found, columns, runs)
    return [_board(study, tuple(columns) or main_columns(study)) for study in found]


def main_columns(study: Study) -> tuple[str, ...]:
    """Return the main metric of each task."""
    return tuple(f"{task}.{main_metric(task)}" for task in study.tasks)


def main_metric(task: str) -> str:
    """Return what a task is judged by."""
    if group_of(task) == NOC:
        return f"noc{number_of(task)}"
    return {DETECTOR_BOX: "ap", WORDS: "ap", EVERYTHING: "ar1000"}.get(task, "miou")


def markdown(found: Sequence[Board]) -> Iterator[str]:
    """Yield the lines of tables for a README."""
    for board in found:
        yield f"### {board.study.title}"
        yield ""
        yield f"| model | {' | '.join(board.columns)} |"
        yield f"|---|{'---:|' * len(board.columns)}"
        for label, cells in board.rows:
            yield f"| {label} | {' | '.join(cell_words(cells.get(column)) for column in board.columns)} |"
        yield ""
        yield from footnotes(board)
        yield ""


def footnotes(board: Board) -> Iterator[str]:
    """Yield what the numbers of a table belong to."""
    data = board.study.data
    comparable = "" if data.comparable else ", drawn by the suite: not comparable with papers"
    yield f"{board.study.protocol.identity}; {data.name}, {data.images} images, sha256 {data.digest[:12]}{comparable}"
    if board.study.boxes is not None:
        yield f"boxes: {board.study.boxes.name}, sha256 {board.study.boxes.digest[:12]}"
    for label, cells in board.rows:
        for column, cell in cells.items():
            if cell.replaced:
                yield f"† {label}, {column}: with {cell.replaced} instead; not ranked"


def cell_words(cell: Cell | None) -> str:
    """Return a number with its interval."""
    if cell is None:
        return "-"
    mark = " †" if cell.replaced else ""
    limits = "" if math.isnan(cell.low) else f" [{cell.low:.1f}, {cell.high:.1f}]"
    return f"{cell.value:.2f}{limits}{mark}"


def _has(study: Study, column: str) -> bool:
    task, _, metric = column.partition(".")
    return not study.numbers(task, metric).empty


def _check_one(found: Sequence[Study], columns: Sequence[str], runs: Sequence[Run]) -> None:
    if not found:
        known = {f"{row.task}.{row.metric}" for run in runs for row in run.results.table.itertuples()}
        raise unknown("column", columns[0], known)
    if len(found) > 1:
        places = ", ".join(f"{study.protocol.identity} on {study.data.name}" for study in found)
        raise InputError(
            f"{', '.join(columns)} would mix {places} in one column: name one --protocol, or leave out runs"
        )


def _board(study: Study, columns: tuple[str, ...]) -> Board:
    rows: dict[str, dict[str, Cell]] = {label: {} for label in study.labels}
    for column in columns:
        task, _, metric = column.partition(".")
        for number in study.numbers(task, metric).to_dict("records"):
            rows[number["label"]][column] = Cell(**{name: number[name] for name in CELL})
    least = columns[0].partition(".")[2].startswith(("noc", "failures"))

    def place(row: tuple[str, dict[str, Cell]]) -> tuple[bool, float, str]:
        cell = row[1].get(columns[0])
        ranked = cell is not None and not cell.replaced
        return not ranked, (cell.value if least else -cell.value) if cell is not None else 0.0, row[0]

    return Board(study, columns, tuple(sorted(((label, cells) for label, cells in rows.items() if cells), key=place)))
