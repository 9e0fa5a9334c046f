"""Finding missing and cut-off images before a run begins, without decoding them all."""

from __future__ import annotations

import warnings

import PIL.Image

from adapters.errors import InputError
from bench.datasets.dataset import DEEP_MODES, Dataset, Image

ENDINGS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}
"""How a whole file of a kind ends."""

HINT = "--keep-going leaves such images out and counts them"


def check_images(dataset: Dataset) -> None:
    """Raise InputError naming the first image that is missing, damaged, or of another size than its annotation says."""
    for image in dataset.images:
        if not _looks_whole(image):
            try:
                image.read()
            except InputError as error:
                raise InputError(f"{error}; {HINT}") from None


def _looks_whole(image: Image) -> bool:
    """Return whether a file's header has the right size and its end is the format's: if not, it must be decoded."""
    ending = ENDINGS.get(image.path.suffix.lower())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(image.path) as file:
                if file.size != (image.width, image.height) or file.mode in DEEP_MODES or ending is None:
                    return False
        with image.path.open("rb") as raw:
            raw.seek(-min(image.path.stat().st_size, 64), 2)
            return raw.read().rstrip(b"\0").endswith(ending)
    except (OSError, PIL.Image.DecompressionBombError):
        return False
