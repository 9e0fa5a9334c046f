"""What the page is made of: figures and tables, each with its data as CSV inside the page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from bench.report.page.svg import inline_svg
from bench.report.plots import WIDE

PHONE = 4.2
"""The width in inches of figures on a phone."""


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: unique in the page.
        title, caption: above and below it.
        wide, narrow: for a screen and for a phone.
        csv: a data: address.
    """

    name: str
    title: str
    caption: str
    wide: Markup
    narrow: Markup
    csv: str


@dataclass(frozen=True)
class Cell:
    """A table's cell: what stands in it, smaller beside it, and by what it is sorted."""

    text: str
    small: str = ""
    order: float | str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its head.

    Attributes:
        name: unique in the page.
        title, note: above and below it; place: whose numbers they are.
        columns: heads, and whether numbers stand under them.
        rows: cells.
        csv: a data: address.
    """

    name: str
    title: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: str
    place: str
    note: str = ""


def figure(
    name: str, title: str, alt: str, draw: Callable[[float], Drawing], data: pd.DataFrame, caption: str = ""
) -> Figure:
    """Return a figure, drawn once for a screen and once for a phone.

    Args:
        name: unique in the page.
        title, caption: above and below it.
        alt: what it shows, for those who don't see it.
        draw: takes a width in inches.
        data: behind the CSV link.
    """
    wide, narrow = (inline_svg(draw(width), f"{name}-{int(10 * width)}", alt) for width in (WIDE, PHONE))
    return Figure(name, title, caption, wide, narrow, csv_address(data))


def csv_address(data: pd.DataFrame) -> str:
    """Return a data: address that holds a frame as CSV."""
    text = data.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    return f"data:text/csv;charset=utf-8;base64,{b64encode(text.encode()).decode()}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """Return names as one says them: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
