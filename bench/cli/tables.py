"""sambench tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.papers.missing import AtHand, Missing

WHAT = {
    "checkpoint": "checkpoints of {}",
    "data": "data: {}",
    "boxes": "boxes: {}",
    "protocol": "presets: {}",
    "model": "{count} of other models",
    "measure": "{count} without a measure",
}


def tables(
    data: Annotated[str | None, typer.Option(help="Count what this dataset allows, instead of any.")] = None,
    detections: Annotated[Path | None, typer.Option(help="With --data: a detector's boxes for it.")] = None,
) -> None:
    """List the published tables that `sambench reproduce` measures again, and what is here to do it with."""
    from rich.table import Table as Grid

    from bench.papers.cells import cells
    from bench.papers.missing import missing
    from bench.papers.table import tables as all_tables
    from bench.report.console import console

    at_hand = _at_hand(data, detections)
    grid = Grid("table", "paper", "title", "protocol", "data", "cells", "here", "missing")
    grid.columns[0].no_wrap = True
    for table in all_tables().values():
        of_table = cells(table)
        protocols = dict.fromkeys(cell.preset for cell in of_table if cell.rule.measure == "accuracy")
        places = dict.fromkeys(cell.data.title for cell in of_table if cell.published.dataset)
        lacking = [missing(cell, at_hand) for cell in of_table]
        grid.add_row(
            table.name,
            f"{table.paper}, {', '.join(table.tables)}",
            table.title,
            ", ".join(protocols) or "-",
            ", ".join(places) or "-",
            str(len(of_table)),
            str(lacking.count(None)),
            "; ".join(_missed([lacks for lacks in lacking if lacks is not None])) or "-",
        )
    console().print(grid)


def _at_hand(data: str | None, detections: Path | None) -> AtHand:
    from adapters.errors import InputError
    from bench.datasets.named import dataset_named
    from bench.papers.missing import AtHand, is_cached

    if data is None:
        if detections is not None:
            raise InputError("--detections goes with --data")
        return AtHand(is_cached)
    dataset = dataset_named(data)
    return AtHand(is_cached, (dataset.kind, dataset.name), detections is not None)


def _missed(lacking: Sequence[Missing]) -> Iterator[str]:
    """Return what is missing, each kind once."""
    for kind, words in WHAT.items():
        own = [lacks for lacks in lacking if lacks.kind == kind]
        if own:
            things = ", ".join(dict.fromkeys(lacks.thing for lacks in own))
            yield words.format(things, count=len(own))
