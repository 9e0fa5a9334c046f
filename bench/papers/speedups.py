"""How many times as fast as one model the others are: in a measurement, and as papers have it of their machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.errors import InputError
from bench.latency.record import Record, Row
from bench.latency.stages import BOX, ENCODE
from bench.papers.cells import Cell, cells
from bench.papers.speed import paper_speed
from bench.papers.table import tables
from bench.protocols.tasks import EVERYTHING


@dataclass(frozen=True)
class Times:
    """How many times as fast; low and high are what the ends of both medians' 95 % intervals give at the utmost."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Speedup:
    """One model under one condition.

    Attributes:
        row: of its encoder.
        encode: of the encoder alone.
        mask: of the encoder and a box's masks; None where either model's decoder wasn't timed.
        published: papers' cells, and how many times as fast each has it.
    """

    row: Row
    encode: Times
    mask: Times | None
    published: tuple[tuple[Cell, float], ...]


def speedups(record: Record, relative: str) -> list[Speedup]:
    """Return how the models of a measurement compare to one of them, condition by condition, the quickest first.

    Args:
        record: with the stage encode.
        relative: the model that the others are held against.

    Raises:
        InputError: where the measurement has no encoder of that model.
    """
    rows = [row for row in record.rows if row.status == "measured" and row.batch == 1]
    encoders = [row for row in rows if row.stage == ENCODE]
    if all(row.model != relative for row in encoders):
        known = ", ".join(dict.fromkeys(row.model for row in encoders)) or "none"
        raise InputError(f"there is no encoder of {relative} in this measurement; it has {known}: see --relative")
    decoders = {_whose(row): row for row in rows if row.stage == BOX}
    found = []
    for anchor in (row for row in encoders if row.model == relative):
        for row in (row for row in encoders if _condition(row) == _condition(anchor)):
            parts = [decoders[_whose(own)] for own in (anchor, row) if _whose(own) in decoders]
            mask = _times([anchor, parts[0]], [row, parts[1]]) if len(parts) == 2 else None
            found.append(Speedup(row, _times([anchor], [row]), mask, tuple(published(row.model, relative))))
    return sorted(found, key=lambda own: (_condition(own.row), -own.encode.value))


def published(model: str, relative: str) -> Iterator[tuple[Cell, float]]:
    """Yield the published times of a model that hold its encoder, and how many times as fast they make it."""
    if model == relative:
        return
    for table in tables().values():
        for cell in cells(table):
            if cell.model == model and cell.rule.measure == "latency" and _one_prompt(cell):
                times = paper_speed(cell, relative)
                if times is not None:
                    yield cell, times


def _one_prompt(cell: Cell) -> bool:
    return ENCODE in cell.ours.split("+") and cell.task != EVERYTHING


def _times(anchor: Sequence[Row], own: Sequence[Row]) -> Times:
    """Return the ratio of two sums of medians."""
    if anchor == own:
        return Times(1.0, 1.0, 1.0)

    def total(rows: Sequence[Row], name: str) -> float:
        return sum(float(getattr(row, name)) for row in rows)

    low, high = total(anchor, "low") / total(own, "high"), total(anchor, "high") / total(own, "low")
    return Times(total(anchor, "median") / total(own, "median"), low, high)


def _condition(row: Row) -> tuple[str, str, str]:
    return row.device, row.dtype, row.runtime


def _whose(row: Row) -> tuple[str, ...]:
    return row.model, row.weights, *_condition(row)
