"""A detector's boxes: COCO's results format, checked before anything runs."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.checkpoints import sha256
from adapters.errors import InputError
from bench.datasets import Dataset, Image

FIELDS = ("image_id", "category_id", "bbox", "score")


@dataclass(frozen=True)
class DetectorBox:
    """One box: x0 y0 x1 y1 in pixels, the detector's class and score."""

    box: tuple[float, float, float, float]
    category_id: int
    score: float


@dataclass(frozen=True)
class Detections:
    """A detector's boxes by image, best first.

    Attributes:
        name, digest: of the file.
        by_image: the boxes of each image.
        skipped: how many weren't taken, by reason.
    """

    name: str
    digest: str
    by_image: dict[int, list[DetectorBox]]
    skipped: Counter[str]


def read_detections(path: Path, dataset: Dataset, keep_going: bool = False) -> Detections:
    """Read a COCO results file for the images of a dataset.

    Args:
        path: the file.
        dataset: whose images and categories it must fit.
        keep_going: count what can't be used instead of stopping there.

    Raises:
        InputError: where it isn't such a file, or a box lies outside its image.
    """
    images = {image.id: image for image in dataset.images}
    by_image: dict[int, list[DetectorBox]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    for number, record in enumerate(_records(path)):
        where = f"{path}, detection {number}"
        if not isinstance(record, dict) or not all(field in record for field in FIELDS):
            raise InputError(f"{where}: {', '.join(FIELDS)} needed")
        try:
            score = float(record["score"])
            x, y, w, h = (float(value) for value in record["bbox"])
            hash((record["image_id"], record["category_id"]))
        except (TypeError, ValueError):
            raise InputError(f"{where}: a number as score and four as bbox needed") from None
        if record["image_id"] not in images:
            skipped["image not in the data"] += record["image_id"] not in dataset.known_images
            continue
        if record["category_id"] not in dataset.categories:
            raise InputError(f"{where}: category {record['category_id']} isn't one of {dataset.name}'s")
        problem = _problem((x, y, w, h), score, images[record["image_id"]])
        if problem is not None and not keep_going:
            raise InputError(f"{where}: {problem}; --keep-going leaves such boxes out")
        if problem is not None:
            skipped["its box is empty or outside the image, or its score no number"] += 1
            continue
        box = DetectorBox((x, y, x + w, y + h), record["category_id"], score)
        by_image[record["image_id"]].append(box)
    if not by_image:
        raise InputError(f"{path}: none of its boxes is of an image of {dataset.name}")
    ranked = {image_id: sorted(boxes, key=lambda found: -found.score) for image_id, boxes in by_image.items()}
    return Detections(path.name, sha256(path), ranked, +skipped)


def _records(path: Path) -> Iterator[Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no detections at {path}") from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    if not isinstance(content, list):
        raise InputError(f"{path}: a list of detections needed (COCO's results format)")
    yield from content


def _problem(bbox: tuple[float, float, float, float], score: float, image: Image) -> str | None:
    x, y, w, h = bbox
    told = f"its box {list(bbox)} (x y width height)"
    if not math.isfinite(score):
        return f"its score {score} isn't finite"
    if not all(map(math.isfinite, bbox)):
        return f"{told} isn't finite"
    if x + w <= x or y + h <= y:
        return f"{told} is empty"
    if x + w <= 0 or y + h <= 0 or x >= image.width or y >= image.height:
        return f"{told} lies outside the {image.width}x{image.height} image {image.id}"
    return None
