"""Models of other packages, found by the entry points that these register in the group ``sambench.adapters``.

An entry point names a module that has ``build``, as every family, and ``cards``: a TOML file's path, or a dict of what
such a file holds. What is wrong with one package is kept as a line that names it, and doesn't hinder the rest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from adapters.cards import ModelCard
from adapters.errors import InputError

GROUP = "sambench.adapters"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Names stand in lists separated by commas, and in the names of files."""


class Packaged(NamedTuple):
    """The cards that packages bring, and in a line each what is wrong with others."""

    cards: tuple[ModelCard, ...]
    problems: tuple[str, ...]


@cache
def packaged(taken: frozenset[str]) -> Packaged:
    """Return what all installed packages bring, in the order of their entry points' names.

    Args:
        taken: the names of the suite's own models, which no other may have.
    """
    found: dict[str, ModelCard] = {}
    problems = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            own = list(_cards(entry))
            _check_free(own, taken | found.keys())
        except Exception as error:  # whatever somebody else's code may raise
            told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            problems.append(f"{_package(entry)}: its models can't be used: {' '.join(told.split())}")
        else:
            found |= {card.name: card for card in own}
    return Packaged(tuple(found.values()), tuple(problems))


def _cards(entry: EntryPoint) -> Iterator[ModelCard]:
    if entry.attr:
        raise InputError(f"its entry point {entry.name} = {entry.value} must name a module, without {entry.attr!r}")
    module = import_module(entry.module)
    if not callable(getattr(module, "build", None)):
        raise InputError(f"{entry.module} has no build(card, weights, device, dtype)")
    if not hasattr(module, "cards"):
        raise InputError(f"{entry.module} has no cards: a TOML file's path, or a dict of tables")
    for name, table in _tables(module.cards).items():
        if not NAME.fullmatch(name):
            raise InputError(f"{name!r} can't be a model's name: letters, digits, '.', '_', '-'")
        yield _card(name, {**table, "name": name, "family": entry.name, "module": entry.module})


def _tables(cards: Any) -> Mapping[str, Any]:
    return cards if isinstance(cards, Mapping) else tomllib.loads(Path(cards).read_text("utf-8"))


def _card(name: str, content: dict[str, Any]) -> ModelCard:
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"the card of {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _check_free(cards: Collection[ModelCard], taken: Collection[str]) -> None:
    for card in cards:
        if card.name in taken:
            raise InputError(f"there is another model called {card.name}")


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name}" if entry.dist is not None else f"entry point {entry.name}"
