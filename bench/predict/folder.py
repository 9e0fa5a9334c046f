"""The folder of answers: it appears whole, replaces only another of its kind, never what somebody put there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.errors import InputError

RECORD = "predict.json"


def check_free(folder: Path) -> None:
    """Raise InputError where the folder is a file, or holds anything but an earlier answer."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file")
    strange = sorted(_names(folder) - _written(folder))
    if strange:
        raise InputError(f"--out {folder} holds {strange[0]}, which isn't of an earlier answer: name another folder")


def write(folder: Path, files: Mapping[str, bytes], record: Mapping[str, Any]) -> None:
    """Write files and their record beside the folder's place, then put them there at once.

    Raises:
        InputError: where check_free does.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as temporary:
        draft, old = Path(temporary) / "new", Path(temporary) / "old"
        draft.mkdir()
        for name, content in files.items():
            (draft / name).write_bytes(content)
        (draft / RECORD).write_text(json.dumps({**record, "files": sorted(files)}, indent=1))
        if folder.exists():
            folder.replace(old)
        draft.replace(folder)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _written(folder: Path) -> set[str]:
    """Return the names that an earlier answer's record accounts for."""
    try:
        return {RECORD, *json.loads((folder / RECORD).read_bytes())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
