"""Where protocols come from: the presets in this folder, or a user's own file."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from adapters.errors import InputError, unknown
from bench.protocols.protocol import Protocol

BASE = "from"
SUFFIX = ".toml"


@cache
def _presets() -> dict[str, Any]:
    folder = resources.files("bench.protocols")
    return {file.name.removesuffix(SUFFIX): file for file in folder.iterdir() if file.name.endswith(SUFFIX)}


def protocol_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(_presets())


def protocol(name: str) -> Protocol:
    """Return a preset by name, or the protocol of a TOML file by its path.

    A file may start ``from`` a preset and change some of its knobs; it is named after the file.

    Raises:
        InputError: for an unknown name, an unknown knob or a wrong value; it names the file, the key, what is nearest.
    """
    if not name.endswith(SUFFIX):
        return _checked(f"{name}{SUFFIX}", {"name": name, **_preset(name)})
    path = Path(name)
    if not path.is_file():
        raise InputError(f"{path} is missing: a protocol's name or file needed")
    try:
        knobs = _read(str(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} can't be read as TOML ({error})") from None
    given = {"name": path.stem, "version": 1, "source": path.name}
    base = knobs.pop(BASE, None)
    if base is not None:
        given = {**_inherited(base), **given, "source": f"{path.name}, from {base}"}
    return _checked(str(path), _merged(given, knobs))


def _inherited(base: Any) -> dict[str, Any]:
    """Return a preset's knobs, without what it says of itself alone."""
    return {key: value for key, value in _preset(base).items() if key not in ("note", "as_published")}


def _preset(name: Any) -> dict[str, Any]:
    if not isinstance(name, str) or name not in _presets():
        raise unknown("protocol", str(name), _presets())
    knobs = _read(f"{name}{SUFFIX}", _presets()[name].read_text("utf-8"))
    base = knobs.pop(BASE, None)
    return knobs if base is None else _merged(_inherited(base), knobs)


def _read(where: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not TOML ({error})") from None


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def _checked(where: str, knobs: dict[str, Any]) -> Protocol:
    try:
        return Protocol.model_validate(knobs)
    except ValidationError as error:
        raise InputError(f"{where}: {_told(error.errors()[0])}") from None


def _told(problem: ErrorDetails) -> str:
    """Return what is wrong with which key, and what it should probably be."""
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"{key}: there is no such knob{_nearest(path[-1], _fields(path[:-1]))}"
    if problem["type"] == "model_type":
        return f"{key}: a section [{key}] is needed, got {problem['input']!r}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "literal_error":
        choices = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{key}: {problem['input']!r} isn't one of {', '.join(choices)}{_nearest(problem['input'], choices)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, got {problem['input']!r}" if key else message


def _fields(path: list[str]) -> list[str]:
    """Return the knobs of a section."""
    section: Any = Protocol
    for part in path:
        annotation = section.model_fields[part].annotation
        section = next(
            c for c in (annotation, *get_args(annotation)) if isinstance(c, type) and issubclass(c, BaseModel)
        )
    return list(section.model_fields)


def _nearest(name: Any, known: list[str]) -> str:
    near = get_close_matches(str(name), known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
