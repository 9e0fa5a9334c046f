"""sambench speedups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.papers.speedups import Speedup, Times


def speedups(
    file: Annotated[Path, typer.Argument(help="A measurement of `sambench latency` with the stage encode.")],
    relative: Annotated[str, typer.Option(help="The model that the others are held against.")] = "sam_vit_h",
) -> None:
    """Say how many times as fast as one model the others are, beside what papers say of their own machines."""
    from rich.table import Table

    from bench.latency.record import read
    from bench.latency.show import duration, notes
    from bench.papers.speedups import speedups as found_in
    from bench.report.console import console

    record = read(file)
    found = found_in(record, relative)
    out = console()
    for condition in dict.fromkeys((own.row.device, own.row.dtype, own.row.runtime) for own in found):
        table = Table(title=f"times as fast as {relative}; {', '.join(condition)}", title_justify="left")
        for column in ("model", "encode", "encoder alone", "with a box's masks", "published"):
            table.add_column(column)
        for own in found:
            if (own.row.device, own.row.dtype, own.row.runtime) == condition:
                cells = duration(own.row.median), _range(own.encode), _range(own.mask), "\n".join(_published(own))
                table.add_row(f"{own.row.model} ({own.row.weights})", *cells)
        out.print(table)
    for line in notes(record, [own.row for own in found]):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _range(times: Times | None) -> str:
    if times is None:
        return "-"
    return "1" if times.low == times.high else f"{times.value:.3g} [{times.low:.3g}, {times.high:.3g}]"


def _published(own: Speedup) -> list[str]:
    lines = []
    for cell, times in own.published:
        what = "encoder" if cell.ours == "encode" else "one prompt"
        lines.append(f"{times:.3g}, {what}, {cell.published.hardware}: {cell.published.paper}, {cell.published.table}")
    return lines or ["-"]
