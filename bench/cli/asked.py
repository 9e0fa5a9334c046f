"""Which models a command asks for, and with which weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from adapters.errors import InputError

if TYPE_CHECKING:
    from adapters.checkpoints import Weights

ALL, SAMPLE = "all", "sample"


def split(names: str) -> list[str]:
    """Return names that are separated by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def model_names(models: Sequence[str], weights: Sequence[str] = ()) -> list[str]:
    """Return the models asked for, each once, "all" standing for all that can be run so; raises for any other.

    What "all" leaves out, and which licences forbid commercial use, is said on stderr.
    """
    from adapters import names
    from adapters.cards import card, published
    from adapters.checkpoints import RANDOM

    asked = list(dict.fromkeys(models))
    if asked == [ALL]:
        asked = [name for name in names() if card(name).random or RANDOM not in weights]
        _say_left_out(asked)
    if not asked:
        raise InputError("--models names no model")
    held = [one for name in asked for one in (name, *published(name).parts)]
    for name in dict.fromkeys(held):
        if card(name).non_commercial:
            _say(f"{name}: its licence, {card(name).licence}, forbids commercial use")
    return asked


def model_weights(
    names: Sequence[str], given: Sequence[str], fetch: bool, allow_unknown_hash: bool
) -> dict[str, Weights]:
    """Find each model's weights, downloading what is missing if that was asked for or is agreed to."""
    from adapters import card
    from adapters.checkpoints import cached_path, resolve
    from bench.cli.weights import fetch_shown

    held = list(dict.fromkeys(one for name in names for one in (name, *card(name).parts)))
    sources = _sources(names, held, given)
    for name in held:
        path = cached_path(card(name))
        missing = name not in sources and path is not None and not path.exists()
        if missing and (fetch or _agreed(name)):
            fetch_shown(card(name), allow_unknown_hash)
    return {name: resolve(card(name), sources, allow_unknown_hash) for name in names}


def _say_left_out(asked: Sequence[str]) -> None:
    from adapters.cards import cards

    left_out = [one for one in cards().values() if one.name not in asked]
    unpublished = [one.name for one in left_out if one.unpublished]
    without_random = [one.name for one in left_out if not one.random]
    _say(f"all: {len(unpublished)} left out that can't be run: {', '.join(unpublished)}")
    if without_random:
        _say(f"all: {len(without_random)} left out that can't have random weights: {', '.join(without_random)}")


def _sources(asked: Sequence[str], names: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return the weights named for models and their parts: random for all, NAME=FILE for one, FILE for the only one."""
    sources: dict[str, str] = {}
    for value in given:
        name, equals, file = value.partition("=")
        if value == "random":
            sources = {**dict.fromkeys(names, "random"), **sources}
        elif equals and name in names:
            sources[name] = file
        elif len(asked) == 1:
            sources[asked[0]] = value
        else:
            raise InputError(f"--weights {value}: random or NAME=FILE needed, NAME one of {', '.join(names)}")
    return sources


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _agreed(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(f"{name}: its checkpoint isn't here. Download it?", err=True)
