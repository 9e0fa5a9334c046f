"""Which file holds a model's weights, and the proof that it is the official one. Nothing here opens a checkpoint."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from platformdirs import user_cache_path

from adapters.cards import Checkpoint, ModelCard, cards
from adapters.errors import InputError

RANDOM, NONE = "random", "none"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Which weights a model runs with.

    Attributes:
        identity: the sha256 of the checkpoint file, "random", or "none" for a model without weights.
        path: the checkpoint file, None for "random" and "none".
        official: whether the file is proven to be the published one.
    """

    identity: str
    path: Path | None = None
    official: bool = False

    @property
    def short(self) -> str:
        """The identity as it stands in tables: 12 hexadecimal digits, "random" or "none"."""
        return self.identity[:12]


def cache_folder() -> Path:
    """Return the folder of downloads: $SAMBENCH_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SAMBENCH_CACHE")
    return Path(chosen) if chosen else user_cache_path("sambench")


def cached_path(card: ModelCard) -> Path | None:
    """Return where a model's checkpoint lies once fetched; None for a model without weights."""
    return cache_folder() / "weights" / card.checkpoint.filename if card.checkpoint else None


def resolve(card: ModelCard, weights: str | PathLike[str] | None = None, allow_unknown_hash: bool = False) -> Weights:
    """Return the weights that a request means, their hash checked.

    Args:
        card: the model.
        weights: None for the official checkpoint in the cache, "random", or a file.
        allow_unknown_hash: take a file that can't be proven to be the official checkpoint.

    Raises:
        InputError: where there is no such file, or it isn't the model's official checkpoint.
    """
    if card.checkpoint is None:
        if weights not in (None, NONE, RANDOM):
            raise InputError(f"{card.name} has no weights, but {weights} was given")
        return Weights(NONE, official=True)
    if weights == RANDOM:
        return Weights(RANDOM)
    path = cached_path(card) if weights is None else Path(weights)
    assert path is not None
    if not path.is_file():
        if weights is None:
            raise InputError(
                f"{card.name}: its checkpoint isn't in the cache: fetch it with `sambench weights fetch {card.name}`"
                f" or name a file with --weights {card.name}=FILE"
            )
        raise InputError(f"{card.name}: no checkpoint at {path}")
    return prove(path, card, allow_unknown_hash)


def prove(path: Path, card: ModelCard, allow_unknown_hash: bool = False) -> Weights:
    """Return the weights in a file after comparing its hash with the card's.

    Raises:
        InputError: where the file isn't, or can't be proven to be, the model's official checkpoint.
    """
    assert card.checkpoint is not None
    digest = sha256(path)
    if is_official(path, card.checkpoint, digest):
        return Weights(digest, path, official=True)
    if allow_unknown_hash:
        return Weights(digest, path)
    for other in cards().values():
        if other.checkpoint is not None and other.checkpoint.sha256 == digest:
            raise InputError(f"{card.name}: {path} is the checkpoint of {other.name}")
    if card.checkpoint.sha256 is None and card.checkpoint.git_blob is None:
        reason = f"no hash is published for it (this file's sha256 is {digest})"
    else:
        expected = card.checkpoint.sha256 or f"git blob {card.checkpoint.git_blob}"
        reason = f"wrong hash: sha256 {digest}, expected {expected}"
    mend = "delete it and fetch it again" if path == cached_path(card) else "add --allow-unknown-hash if you trust it"
    raise InputError(f"{card.name}: {path}: {reason}; {mend}")


def is_official(path: Path, checkpoint: Checkpoint, digest: str) -> bool:
    """Return whether a file is the published one: by sha256, or by git blob id where no sha256 is known."""
    if checkpoint.sha256 is not None:
        return digest == checkpoint.sha256
    return checkpoint.git_blob is not None and git_blob(path) == checkpoint.git_blob


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob(path: Path) -> str:
    """Return the id git gives a file's bytes (git hash-object)."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
