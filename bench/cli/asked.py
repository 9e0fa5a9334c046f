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


def model_names(models: Sequence[str]) -> list[str]:
    """Return the models asked for, each once, "all" standing for all of them; raises for an unknown one."""
    from adapters import card, names

    asked = list(names()) if list(models) == [ALL] else list(models)
    if not asked:
        raise InputError("--models names no model")
    for name in asked:
        card(name)
    return list(dict.fromkeys(asked))


def model_weights(
    names: Sequence[str], given: Sequence[str], fetch: bool, allow_unknown_hash: bool
) -> dict[str, Weights]:
    """Find each model's weights, downloading what is missing if that was asked for or is agreed to."""
    from adapters import card
    from adapters.checkpoints import cached_path, resolve
    from bench.cli.weights import fetch_shown

    sources = _sources(names, given)
    chosen = {}
    for name in names:
        source, path = sources.get(name), cached_path(card(name))
        missing = source is None and path is not None and not path.exists()
        if missing and (fetch or _agreed(name)):
            chosen[name] = fetch_shown(card(name), allow_unknown_hash)
        else:
            chosen[name] = resolve(card(name), source, allow_unknown_hash)
    return chosen


def _sources(names: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return the weights named for models: random for all, NAME=FILE for one, FILE for the only one."""
    sources: dict[str, str] = {}
    for value in given:
        name, equals, file = value.partition("=")
        if value == "random":
            sources = {**dict.fromkeys(names, "random"), **sources}
        elif equals and name in names:
            sources[name] = file
        elif len(names) == 1:
            sources[names[0]] = value
        else:
            raise InputError(f"--weights {value}: random or NAME=FILE needed, NAME one of {', '.join(names)}")
    return sources


def _agreed(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(f"{name}: its checkpoint isn't here. Download it?", err=True)
