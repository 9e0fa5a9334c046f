"""What papers' names for models, data and detectors mean here."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.papers.files import read_toml

SAM_VIT_H = "sam_vit_h"
"""The model that papers hold others' speed against."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Entry):
    """A published dataset.

    Attributes:
        name, title: here, and in print.
        kind: the format that its annotations have here; any: any images do; none: the suite doesn't read it.
        images: how many it holds, None where nobody says.
        folder: how the folder's name tells it from others of its kind, where it must be told (a file name pattern).
        names: what papers call it.
        get: where it is to be had.
        no_verdict: why nothing measured on it can agree or differ; empty if it can.
    """

    name: str
    title: str
    kind: Literal["coco", "lvis", "any", "none"]
    images: int | None = None
    folder: str = "*"
    names: tuple[str, ...]
    get: str
    no_verdict: str = ""

    def is_like(self, kind: str, name: str) -> bool:
        """Return whether data of a kind, from a folder of a name, can be this."""
        return self.kind == "any" or (self.kind == kind and fnmatch(name.lower(), self.folder))


class Detector(_Entry):
    """A detector whose boxes are prompts.

    Attributes:
        name, title: here, and in print.
        files: patterns of the names of its files.
        sha256: of files known to be its own.
        get: where they are to be had.
    """

    name: str
    title: str
    files: tuple[str, ...]
    sha256: frozenset[str] = frozenset()
    get: str

    def made(self, name: str, digest: str) -> bool:
        """Return whether a file of boxes is this detector's, by its sha256 or its name."""
        return digest in self.sha256 or any(fnmatch(name.lower(), pattern) for pattern in self.files)


@cache
def datasets() -> dict[str, Data]:
    """Return the datasets by the names that papers give them."""
    found = [Data(name=name, **entry) for name, entry in read_toml("data.toml").items()]
    return {title: data for data in found for title in data.names}


@cache
def detectors() -> dict[str, Detector]:
    """Return the detectors by name."""
    return {name: Detector(name=name, **entry) for name, entry in read_toml("detectors.toml").items()}


@cache
def models() -> dict[str, str]:
    """Return our names of models by the papers'; some of them aren't in the suite yet."""
    return dict(read_toml("models.toml")["models"])


@cache
def other_models() -> dict[str, str]:
    """Return why the suite doesn't have, and won't get, a model of a paper."""
    return dict(read_toml("models.toml")["others"])
