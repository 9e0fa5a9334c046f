"""The image that is asked about."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from adapters.errors import InputError
from bench.datasets.dataset import DEEP_MODES


@dataclass(frozen=True)
class Picture:
    """An image file, read.

    Attributes:
        name: of the file.
        digest: sha256 of the file.
        pixels: (H, W, 3) uint8 RGB, turned as the camera noted, so that coordinates are those a viewer shows.
    """

    name: str
    digest: str
    pixels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


def read_picture(path: Path) -> Picture:
    """Read an image file.

    Raises:
        InputError: where it is missing, can't be read, or has more than 8 bits a channel.
    """
    try:
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(content)) as file:
                if file.mode in DEEP_MODES:
                    raise ValueError("it has more than 8 bits a channel")
                pixels = np.array(PIL.ImageOps.exif_transpose(file).convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"no image at {path}") from None
    except PIL.UnidentifiedImageError:
        raise InputError(f"{path} is no image") from None
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path} can't be read ({error})") from None
    return Picture(path.name, sha256(content).hexdigest(), pixels)
