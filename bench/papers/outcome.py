"""A published table measured again: what came of each of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adapters.errors import InputError
from bench.papers.cells import Cell
from bench.papers.cost import cost
from bench.papers.missing import AtHand, missing
from bench.papers.run_results import Measured, RunResults
from bench.papers.speed import in_unit, our_seconds, paper_speed, speed
from bench.papers.table import Table
from bench.papers.verdict import Verdict, judge_accuracy, judge_cost, judge_latency


@dataclass(frozen=True)
class Outcome:
    """A cell, ours, and the verdict.

    Attributes:
        cell: the published number.
        verdict, reason: whether it agrees, and why.
        mend: how to get what it takes, for a cell that isn't run.
        measured: our number in the paper's unit, None where there is none.
        speed, paper_speed: how many times as fast as SAM ViT-H it is on this and on the paper's machine.
    """

    cell: Cell
    verdict: Verdict
    reason: str
    mend: str = ""
    measured: Measured | None = None
    speed: float | None = None
    paper_speed: float | None = None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in the paper's unit."""
        if self.measured is None or self.cell.published.value is None:
            return None
        return self.measured.value - self.cell.published.value


def check_protocols(table: Table, cells: Iterable[Cell], run: RunResults) -> None:
    """Raise InputError where a run was made by other rules than a table's."""
    from bench.protocols import protocol, protocol_names

    needed = {cell.preset for cell in cells if cell.rule.measure == "accuracy"}
    if needed and not needed & set(run.protocols):
        names = " and ".join(sorted(needed))
        raise InputError(f"{run.folder} was run under {', '.join(run.protocols)}, but {table.name} takes {names}")
    for name, identity in run.identities().items():
        if name in needed and name in protocol_names():
            ours = protocol(name)
            expected = f"{name}/{ours.version}/{ours.digest[:12]}"
            if identity != expected:
                raise InputError(f"{run.folder} was run under {identity}, but {table.name} takes {expected}")


def outcomes(cells: Sequence[Cell], run: RunResults | None, at_hand: AtHand) -> list[Outcome]:
    """Return what came of cells.

    Args:
        cells: the published numbers.
        run: where accuracies and times are read, None where nothing was run.
        at_hand: what there was to run with, for those that weren't.
    """
    return [_outcome(cell, run, at_hand) for cell in cells]


def _outcome(cell: Cell, run: RunResults | None, at_hand: AtHand) -> Outcome:
    lacks = missing(cell, at_hand)
    if lacks is not None and (run is None or lacks.kind != "checkpoint"):
        return Outcome(cell, Verdict.NOT_RUN, lacks.reason, lacks.mend)
    if cell.rule.measure == "cost":
        return _cost(cell)
    if run is None:
        return Outcome(cell, Verdict.NOT_RUN, "nothing was run")
    found = _latency(cell, run) if cell.rule.measure == "latency" else _accuracy(cell, run)
    if found is None and lacks is not None:
        return Outcome(cell, Verdict.NOT_RUN, lacks.reason, lacks.mend)
    return found or Outcome(cell, Verdict.NOT_RUN, _why_not(cell, run))


def _accuracy(cell: Cell, run: RunResults) -> Outcome | None:
    assert cell.model is not None
    measured = run.number(cell.model, cell.preset, cell.task, cell.ours)
    if measured is None:
        return None
    return Outcome(cell, *judge_accuracy(cell, measured, run), measured=measured)


def _cost(cell: Cell) -> Outcome:
    assert cell.model is not None
    try:
        measured = Measured(cost(cell.model, cell.ours))
    except InputError as error:
        return Outcome(cell, Verdict.NOT_RUN, str(error))
    return Outcome(cell, *judge_cost(cell, measured), measured=measured)


def _latency(cell: Cell, run: RunResults) -> Outcome | None:
    seconds = our_seconds(cell, run)
    if seconds is None:
        return None
    measured = Measured(in_unit(seconds, cell.published.unit))
    ours, papers = speed(cell, run), paper_speed(cell)
    return Outcome(cell, *judge_latency(cell), measured=measured, speed=ours, paper_speed=papers)


def _why_not(cell: Cell, run: RunResults) -> str:
    """Return why a run lacks a number."""
    assert cell.model is not None
    if cell.preset not in run.protocols:
        return f"the run isn't under {cell.preset}"
    if cell.model not in {model.name for model in run.plan.models}:
        return f"{cell.model} isn't in the run"
    if cell.rule.measure == "latency":
        return f"the run has no time of {cell.ours.replace('+', ', ')} for one prompt"
    omitted = run.omission(cell.model, cell.preset, cell.task)
    return omitted or f"the run has no {cell.ours} of {cell.task}"
