"""Where the published tables lie."""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from adapters.errors import InputError

NUMBERS, TABLES = "numbers.csv", "tables"


def papers_folder() -> Traversable:
    """Return the folder of published tables: in the installed package, or results/papers of a checkout.

    Raises:
        InputError: where there is neither.
    """
    places: tuple[Traversable, ...] = (
        resources.files("bench.papers") / "data",
        Path(__file__).parents[2] / "results" / "papers",
    )
    for place in places:
        if (place / NUMBERS).is_file():
            return place
    raise InputError("this installation of sambench lacks the published tables: install it again")


def read_toml(*parts: str) -> dict[str, Any]:
    """Return the content of a TOML file of that folder."""
    return tomllib.loads(papers_folder().joinpath(*parts).read_text("utf-8"))
