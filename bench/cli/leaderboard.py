"""sambench leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bench.report.leaderboard import Board


def leaderboard(
    folder: Annotated[Path, typer.Argument(help="Every finished run under it is taken.")],
    columns: Annotated[
        str, typer.Option(help="TASK.METRIC, separated by commas, such as click1.miou; in one table.")
    ] = "",
    protocol: Annotated[str | None, typer.Option(help="This one's numbers alone.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
) -> None:
    """Merge many runs into tables, one for each protocol on each dataset: no column mixes what doesn't compare."""
    from bench.cli.asked import split
    from bench.report import leaderboard as tables
    from bench.report.console import console

    runs, left_out = tables.find_runs(folder)
    found = tables.boards(runs, split(columns), protocol)
    if markdown:
        typer.echo("\n".join(tables.markdown(found)).rstrip())
    else:
        for board in found:
            console().print(_table(board))
            for line in tables.footnotes(board):
                console().print(line, highlight=False, markup=False, soft_wrap=True)
    for why in left_out:
        typer.echo(f"left out: {' '.join(why.split())}", err=True)


def _table(board: Board) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from bench.report.leaderboard import cell_words

    table = Table("model", *board.columns, title=escape(board.study.title), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, cells in board.rows:
        table.add_row(escape(label), *(escape(cell_words(cells.get(column))) for column in board.columns))
    return table
