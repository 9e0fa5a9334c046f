"""Finding missing and cut-off images before a run begins, without decoding them all."""

from __future__ import annotations

import PIL.Image

from adapters.errors import InputError
from bench.datasets.dataset import Dataset, Image

ENDINGS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}
"""How a whole file of a kind ends."""


def check_images(dataset: Dataset) -> None:
    """Raise InputError naming the first image that is missing, damaged, or of another size than its annotation says."""
    for image in dataset.images:
        try:
            problem = _problem(image)
        except InputError as error:
            raise InputError(f"{error}; --keep-going leaves such images out and counts them") from None
        if problem:
            image.pixels()


def _problem(image: Image) -> bool:
    """Return whether an image must be decoded to know that it is whole."""
    try:
        with PIL.Image.open(image.path) as file:
            if file.size != (image.width, image.height):
                return bool(image.pixels().size)
    except OSError:
        return bool(image.pixels().size)
    ending = ENDINGS.get(image.path.suffix.lower())
    with image.path.open("rb") as raw:
        raw.seek(-min(image.path.stat().st_size, 64), 2)
        return ending is None or not raw.read().rstrip(b"\0").endswith(ending)
