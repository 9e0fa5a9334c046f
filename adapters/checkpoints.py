"""Which file holds a model's weights, and the proof that it is the official one. Nothing here opens a checkpoint.

A converted file (adapters/converted.py) goes by the hash of the published file it was made from. That is taken from
this machine's own record of the conversion, found by the converted file's hash, and not from what the file says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from platformdirs import user_cache_path

from adapters.cards import Checkpoint, Exports, ModelCard, cards
from adapters.errors import InputError

RANDOM, NONE = "random", "none"
EXPORTED = ".ort"
Source = str | PathLike[str] | None
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Which weights a model runs with.

    Attributes:
        identity: the sha256 of the checkpoint file, for a converted one of the file it was made from, of exports
            their common identity (adapters.cards.Exports); "random", or "none" for a model without weights; of a model
            made of others the sha256 of all identities, one a line, or "random" if any of them is.
        path: the checkpoint file, or the first of its exports, beside which the others lie; None for "random" and
            "none".
        official: whether the file, and all the parts', are proven to be the published ones.
        parts: those of the models that it is made of, in the card's order.
    """

    identity: str
    path: Path | None = None
    official: bool = False
    parts: tuple[Weights, ...] = ()

    @property
    def short(self) -> str:
        """The identity as it stands in tables: 12 hexadecimal digits, "random" or "none"."""
        return self.identity[:12]


@dataclass(frozen=True)
class Published:
    """What tells a published file: its sha256, and the id git gives its bytes, None where nothing asks for it."""

    sha256: str
    git_blob: str | None = None


def cache_folder() -> Path:
    """Return the folder of downloads: $SAMBENCH_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SAMBENCH_CACHE")
    return Path(chosen) if chosen else user_cache_path("sambench")


def cached_path(card: ModelCard) -> Path | None:
    """Return where a model's checkpoint lies once fetched, or was converted to; None for a model without weights.

    It is the first of its exports where there is nothing but them. One that comes with other files has a folder for
    itself.
    """
    if card.checkpoint is None:
        return None
    folder, exports = cache_folder() / "weights", card.checkpoint.exports
    path = (folder / card.name if card.checkpoint.beside else folder) / card.checkpoint.filename
    others = [converted_path(card), *([path.with_name(exports.files[0].filename)] if exports else [])]
    return next((file for file in (path, *others) if file.exists()), path)


def converted_path(card: ModelCard) -> Path:
    """Return where a model's checkpoint goes when it is converted."""
    assert card.checkpoint is not None
    return (cache_folder() / "weights" / card.checkpoint.filename).with_suffix(".safetensors")


def resolve(
    card: ModelCard, weights: Source | Mapping[str, Source] = None, allow_unknown_hash: bool = False
) -> Weights:
    """Return the weights that a request means, their hash checked.

    Args:
        card: the model.
        weights: None for the official checkpoint in the cache, "random", or a file, or the folder it lies in. For a
            model made of others also these by name; what isn't named is as if it were None.
        allow_unknown_hash: take a file that can't be proven to be the official checkpoint.

    Raises:
        InputError: where there is no such file, or it isn't the model's official checkpoint.
    """
    named = weights if isinstance(weights, Mapping) else {card.name: weights}
    if weights == RANDOM:
        named = dict.fromkeys((card.name, *card.parts), RANDOM)
    own = _own(card, named.get(card.name), allow_unknown_hash)
    if not card.parts:
        return own
    parts = tuple(resolve(cards()[part], named.get(part), allow_unknown_hash) for part in card.parts)
    identities = [one.identity for one in (own, *parts)]
    told = hashlib.sha256("\n".join(identities).encode()).hexdigest()
    official = all(one.official for one in (own, *parts))
    return Weights(RANDOM if RANDOM in identities else told, own.path, official, parts)


def _own(card: ModelCard, weights: Source, allow_unknown_hash: bool) -> Weights:
    """Return the weights of a model without those of its parts."""
    if card.checkpoint is None:
        if weights not in (None, NONE, RANDOM):
            made = f" of its own, but those of {', '.join(card.parts)}" if card.parts else ""
            raise InputError(f"{card.name} has no weights{made}, but {weights} was given")
        return Weights(NONE, official=True)
    if weights == RANDOM:
        if not card.random:
            raise InputError(
                f"{card.name} can't have random weights: the sizes of its layers stand only in its checkpoint"
            )
        return Weights(RANDOM)
    path = cached_path(card) if weights is None else Path(weights)
    assert path is not None
    if path.is_dir():
        path /= card.checkpoint.filename
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
    if card.checkpoint.exports is not None and path.suffix == EXPORTED:
        return _prove_exports(path, card.name, card.checkpoint.exports)
    wrong = _wrong_beside(path, card.checkpoint)
    if wrong is not None and not (allow_unknown_hash and wrong.is_file()):
        problem = f"isn't the published file (sha256 {sha256(wrong)})" if wrong.is_file() else "is missing"
        raise InputError(f"{card.name}: {wrong}, which is needed beside {path.name}, {problem}")
    own = sha256(path)
    published = _recorded(own) or Published(own, git_blob(path) if card.checkpoint.sha256 is None else None)
    digest = published.sha256
    if is_official(card.checkpoint, published) and wrong is None:
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


def _wrong_beside(path: Path, checkpoint: Checkpoint) -> Path | None:
    """Return the first of the files beside a checkpoint that is missing or isn't the published one, None if all are."""
    files = ((path.with_name(name), expected) for name, expected in checkpoint.beside.items())
    return next((file for file, expected in files if not file.is_file() or sha256(file) != expected), None)


def is_official(checkpoint: Checkpoint, file: Published) -> bool:
    """Return whether a file is the published one: by sha256, or by git blob id where no sha256 is known."""
    if checkpoint.exports is not None and file.sha256 == checkpoint.exports.identity:
        return True
    if checkpoint.sha256 is not None:
        return file.sha256 == checkpoint.sha256
    return checkpoint.git_blob is not None and file.git_blob == checkpoint.git_blob


def _prove_exports(path: Path, name: str, exports: Exports) -> Weights:
    """Return the weights in a model's exports, of which ``path`` is the first; the others lie beside it."""
    for export in exports.files:
        file = path.with_name(export.filename)
        if not file.is_file():
            raise InputError(f"{name}: {file} is missing; delete {path} and fetch both again")
        digest = sha256(file)
        if digest != export.sha256:
            wrong = f"sha256 {digest}, expected {export.sha256}"
            raise InputError(f"{name}: {file}: wrong hash: {wrong}; delete it and fetch it again")
    return Weights(exports.identity, path, official=True)


def record_conversion(converted: Path, published: Published) -> None:
    """Remember, by the converted file's hash, which file it was made from."""
    record = _record(sha256(converted))
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(asdict(published)))


def _recorded(digest: str) -> Published | None:
    """Return what the converted file of this hash was made from; None where no such conversion is on record."""
    try:
        return Published(**json.loads(_record(digest).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _record(digest: str) -> Path:
    return cache_folder() / "converted" / f"{digest}.json"


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
