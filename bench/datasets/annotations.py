"""From a record of an annotation file to an Annotation, with what is wrong with it."""

from __future__ import annotations

import math
from typing import Any

from adapters.errors import InputError
from bench.datasets.dataset import Annotation, Dataset

SLACK = 1.0
"""A box may stick out of its image by so many pixels: published boxes are rounded."""


def read_annotation(record: dict[str, Any], height: int, width: int) -> Annotation:
    """Return an annotation of an image of this size; what makes it unusable stands in its ``problem``."""
    x, y, w, h = (float(value) for value in record["bbox"])
    box = (x, y, x + w, y + h)
    point = _point(record.get("point_coords"))
    return Annotation(
        id=record["id"],
        image_id=record["image_id"],
        category_id=record["category_id"],
        box=box,
        area=float(record["area"]),
        iscrowd=bool(record.get("iscrowd", 0)),
        segmentation=record["segmentation"],
        problem=_box_problem(box, height, width)
        or _segmentation_problem(record["segmentation"], height, width)
        or _point_problem(point, height, width),
        point=point,
    )


def check_annotations(dataset: Dataset) -> None:
    """Raise InputError naming the first annotation that can't be used."""
    for image in dataset.images:
        for annotation in image.annotations:
            if annotation.problem is not None:
                raise InputError(
                    f"{dataset.annotation_file}: annotation {annotation.id}: {annotation.problem};"
                    " --keep-going leaves such annotations out and counts them"
                )


def sticks_out(box: tuple[float, float, float, float], height: int, width: int) -> bool:
    """Return whether a box, x0 y0 x1 y1, sticks out of its image by more than rounding."""
    return min(box[:2]) < -SLACK or box[2] > width + SLACK or box[3] > height + SLACK


def _point(coordinates: Any) -> tuple[float, float] | None:
    """Return SA-1B's point_coords, [[x, y]], as x y."""
    match coordinates:
        case [[int() | float() as x, int() | float() as y], *_]:
            return float(x), float(y)
    return None


def _point_problem(point: tuple[float, float] | None, height: int, width: int) -> str | None:
    if point is None or (0 <= point[0] <= width and 0 <= point[1] <= height):
        return None
    return f"its point {list(point)} lies outside the {width}x{height} image"


def _box_problem(box: tuple[float, float, float, float], height: int, width: int) -> str | None:
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        return "its box isn't finite"
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        return f"its box {[x0, y0, x1 - x0, y1 - y0]} (x y width height) lies outside the {width}x{height} image"
    return None


def _segmentation_problem(segmentation: Any, height: int, width: int) -> str | None:
    if isinstance(segmentation, list):
        whole = segmentation and all(
            isinstance(part, list) and len(part) >= 6 and not len(part) % 2 for part in segmentation
        )
        return None if whole else "its polygons can't be read"
    if not isinstance(segmentation, dict) or list(segmentation.get("size", ())) != [height, width]:
        return f"its segmentation isn't polygons, nor RLE of the size {[height, width]}"
    counts = segmentation.get("counts")
    runs = run_lengths(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or min(runs, default=0) < 0 or sum(runs) != height * width:
        return "its RLE doesn't fill the image"
    return None


def run_lengths(counts: str) -> list[int] | None:
    """Return the run lengths of COCO's compressed RLE, None where it is damaged.

    Five bits a character from 48 on, least significant first, the sixth says that more follow, the last's fifth is the
    sign; from the third on a run is stored as the difference from the one before the last (maskApi.c, rleFrString).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return None if shift else runs
