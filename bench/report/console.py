"""Where tables are printed."""

from __future__ import annotations

from rich.console import Console

WIDE = 160
"""A pipe or a file has no width; tables are not cut there."""


def console() -> Console:
    """Return the standard output."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDE)


def megabytes(count: int | None) -> str:
    """Return a size in words."""
    return "not known" if count is None else f"{count / 1e6:.0f} MB"
