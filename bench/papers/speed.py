"""Times, ours and papers', and how they compare to another model's on the same machine."""

from __future__ import annotations

from bench.papers.catalogue import SAM_VIT_H
from bench.papers.cells import Cell, cells
from bench.papers.numbers import Published
from bench.papers.run_results import RunResults


def our_seconds(cell: Cell, run: RunResults, model: str | None = None) -> float | None:
    """Return the time of a cell's stages in a run, None where it wasn't taken.

    Args:
        cell: which stages.
        run: where the samples are.
        model: instead of the cell's.
    """
    if cell.preset not in run.protocols:
        return None
    taken = [run.seconds(model or cell.model or "", stage, cell.preset) for stage in cell.ours.split("+")]
    known = [seconds for seconds in taken if seconds is not None]
    return sum(known) if len(known) == len(taken) else None


def in_unit(seconds: float, unit: str) -> float:
    """Return a time in ms, or in images a second."""
    return 1 / seconds if unit == "img/s" else 1000 * seconds


def speed(cell: Cell, run: RunResults) -> float | None:
    """Return how many times as fast as SAM ViT-H a cell's model was in the same run, None where one of them wasn't."""
    anchor, own = our_seconds(cell, run, SAM_VIT_H), our_seconds(cell, run)
    return anchor / own if anchor and own else None


def paper_speed(cell: Cell, relative: str = SAM_VIT_H) -> float | None:
    """Return how many times as fast as another model the paper has it, in the same table, hardware and protocol."""
    for other in cells(cell.table):
        if other.model == relative and _like(other.published, cell.published):
            anchor, own = _seconds(other.published), _seconds(cell.published)
            return anchor / own if anchor and own else None
    return None


def _like(one: Published, other: Published) -> bool:
    return (one.metric, one.hardware, one.protocol) == (other.metric, other.hardware, other.protocol)


def _seconds(published: Published) -> float | None:
    if published.value is None:
        return None
    return 1 / published.value if published.unit == "img/s" else published.value / 1000
