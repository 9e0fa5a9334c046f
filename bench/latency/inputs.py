"""What a model is asked while it is timed: distinct images in turn, and prompts drawn for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapters.errors import InputError
from adapters.prompts import FOREGROUND, Prompts

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST = 24
"""So many images of a folder are taken."""

LEAST_SIDE, MOST_SIDE = 0.1, 0.5
"""Sides of the boxes drawn, as shares of the image's."""


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, or of images/ in it, by name, the first MOST of them.

    Raises:
        InputError: where there are none.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: --data takes sample or a folder of images")
    place = folder / "images" if (folder / "images").is_dir() else folder
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        raise InputError(f"{place} holds no images: looked for {', '.join(ENDINGS)}")
    return found[:MOST]


def identity(files: Sequence[Path]) -> list[dict[str, str]]:
    """Return each file's name and sha256."""
    return [{"name": file.name, "sha256": sha256(file.read_bytes()).hexdigest()} for file in files]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (H, W, 3) uint8 RGB.

    Raises:
        InputError: where it can't be read.
    """
    try:
        with Image.open(path) as file:
            return np.array(file.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} can't be read as an image ({error})") from None


class Inputs:
    """Images in turn, each with prompts of its own; the same for the same seed.

    Args:
        images: (H, W, 3) uint8 RGB.
        seed: of the prompts.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]], seed: int = 0) -> None:
        self.images, self.seed = images, seed

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return the image of a call."""
        return self.images[index % len(self)]

    def points(self, index: int, count: int) -> Prompts:
        """Return prompts of one foreground point each, anywhere in the image of a call."""
        places = self._rng(index, count).uniform(0, 1, (count, 1, 2)) * self._size(index)
        return Prompts.from_points(places, np.full((count, 1), FOREGROUND))

    def boxes(self, index: int, count: int) -> Prompts:
        """Return boxes inside the image of a call."""
        rng = self._rng(index, count)
        sides = rng.uniform(LEAST_SIDE, MOST_SIDE, (count, 2))
        corners = rng.uniform(0, 1 - sides)
        return Prompts.from_boxes(np.concatenate([corners, corners + sides], 1) * np.tile(self._size(index), 2))

    def _size(self, index: int) -> NDArray[np.int64]:
        return np.array(self.image(index).shape[1::-1])

    def _rng(self, index: int, count: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, index % len(self), count])
