"""What every dataset looks like once it is read, whatever it was stored as."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pycocotools import mask as codec

from adapters.errors import InputError

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's modes of more than 8 bits, which it would clip to white."""


@dataclass(frozen=True)
class Annotation:
    """One annotated object.

    Attributes:
        id, image_id, category_id: as in the annotation file.
        box: x0 y0 x1 y1 in pixels, the annotation's own box (not derived from the mask).
        area: the annotation's own area in px².
        iscrowd: whether it marks a group.
        segmentation: polygons, uncompressed RLE or compressed RLE, as in the file.
        problem: why it can't be used, None if it can.
        point: x y in pixels, the point that made the mask (SA-1B's point_coords), where the file has one.
    """

    id: int
    image_id: int
    category_id: int
    box: tuple[float, float, float, float]
    area: float
    iscrowd: bool
    segmentation: Any = field(repr=False)
    problem: str | None = None
    point: tuple[float, float] | None = None

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return the (height, width) mask."""
        if isinstance(self.segmentation, list):
            rle = codec.merge(codec.frPyObjects(self.segmentation, height, width))
        elif isinstance(self.segmentation["counts"], list):
            rle = codec.frPyObjects(self.segmentation, height, width)
        else:
            rle = self.segmentation
        mask: NDArray[np.uint8] = codec.decode(rle)
        return mask.astype(bool)


@dataclass(frozen=True)
class Image:
    """One image of a dataset.

    Attributes:
        id: as in the annotation file.
        path: the file.
        height, width: in pixels, as in the annotation file.
        annotations: in the file's order.
    """

    id: int
    path: Path
    height: int
    width: int
    annotations: tuple[Annotation, ...] = field(repr=False)

    def read(self) -> tuple[NDArray[np.uint8], str]:
        """Return (H, W, 3) uint8 RGB pixels, and the sha256 of the file they come from.

        Raises:
            InputError: where the file is missing, damaged, of another size, or of more than 8 bits a channel.
        """
        try:
            content = self.path.read_bytes()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with PIL.Image.open(io.BytesIO(content)) as file:
                    if file.mode in DEEP_MODES:
                        raise ValueError("it has more than 8 bits a channel")
                    pixels = np.array(file.convert("RGB"))
        except FileNotFoundError:
            raise InputError(f"image {self.id}: {self.path} is missing") from None
        except PIL.UnidentifiedImageError:
            raise InputError(f"image {self.id}: {self.path} can't be read (it is no image)") from None
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise InputError(f"image {self.id}: {self.path} can't be read ({error})") from None
        if pixels.shape[:2] != (self.height, self.width):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise InputError(f"image {self.id}: {self.path} is {size}, its annotation says {self.width}x{self.height}")
        return pixels, sha256(content).hexdigest()

    def pixels(self) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB pixels; raises as read does."""
        return self.read()[0]


@dataclass(frozen=True)
class Dataset:
    """Images in a fixed order.

    Attributes:
        name: the folder's name; a part of it is named with how much was taken.
        kind: which rules its average precision follows.
        annotation_file: where it was read from.
        images: in the file's order.
        categories: id -> name.
        known_images: the ids of all images of the annotation file, also of those that aren't taken.
        comparable: whether numbers on it may be held against published ones.
    """

    name: str
    kind: Literal["coco", "lvis"]
    annotation_file: Path
    images: Sequence[Image]
    categories: dict[int, str]
    known_images: frozenset[int] = field(repr=False)
    comparable: bool = True

    def first(self, count: int) -> Dataset:
        """Return the first images alone, and say so in the name."""
        if count < 1:
            raise InputError(f"--limit {count}: at least one image is needed")
        if count >= len(self.images):
            return self
        return replace(self, name=f"{self.name}[:{count}]", images=self.images[:count])

    @cached_property
    def digest(self) -> str:
        """The sha256 of the annotation file and of the images' ids and names; a run keeps its images' own hash."""
        hashed = sha256(self.annotation_file.read_bytes())
        for image in self.images:
            hashed.update(f"{image.id} {image.path.name}\n".encode())
        return hashed.hexdigest()
