"""From a folder to a dataset: our own layout, and the official ones of COCO and LVIS."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from adapters.errors import InputError
from bench.datasets.dataset import Annotation, Dataset, Image

ANNOTATION_FILES = (
    "annotations.json",
    "annotations/instances_val2017.json",
    "annotations/instances_*.json",
    "annotations/lvis_*_val.json",
    "lvis_*_val.json",
)
SLACK = 1.0
"""An annotation's box may stick out of its image by so many pixels: published boxes are rounded."""


def open_dataset(folder: str | Path) -> Dataset:
    """Read a folder of images/ with annotations.json, or the official COCO or LVIS layout.

    Raises:
        InputError: where there is no such folder, or what it holds isn't that.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: --data takes sample or a folder of images/ with annotations.json")
    for pattern in ANNOTATION_FILES:
        for annotation_file in sorted(folder.glob(pattern)):
            return read_dataset(annotation_file, folder)
    raise InputError(f"{folder} holds no annotations: looked for {', '.join(ANNOTATION_FILES)}")


def read_dataset(annotation_file: Path, folder: Path) -> Dataset:
    """Read an annotation file in COCO's or LVIS's format, with the images that lie in a folder."""
    content = _json(annotation_file)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise InputError(f"{annotation_file}: images, annotations and categories needed: it isn't COCO's format")
    try:
        is_lvis = any("neg_category_ids" in image for image in content["images"])
        by_image = defaultdict(list)
        for record in content["annotations"]:
            by_image[record["image_id"]].append(record)
        split = annotation_file.stem.partition("_")[2]
        images = [_image(record, by_image.pop(record["id"], []), folder, split) for record in content["images"]]
        categories = {category["id"]: category["name"] for category in content["categories"]}
    except KeyError as error:
        raise InputError(f"{annotation_file}: a record lacks {error}") from None
    except InputError as error:
        raise InputError(f"{annotation_file}: {error}") from None
    if by_image:
        image_id, records = next(iter(by_image.items()))
        raise InputError(f"{annotation_file}: annotation {records[0]['id']} is of image {image_id}, which isn't there")
    info = content.get("info")
    comparable = not (isinstance(info, dict) and info.get("synthetic", False))
    return Dataset(
        name=folder.resolve().name,
        kind="lvis" if is_lvis else "coco",
        annotation_file=annotation_file,
        images=images,
        categories=categories,
        known_images=frozenset(image.id for image in images),
        comparable=comparable,
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None


def _image(record: dict[str, Any], annotations: Iterable[dict[str, Any]], folder: Path, split: str) -> Image:
    height, width = record["height"], record["width"]
    parts = tuple(_annotation(annotation, height, width) for annotation in annotations)
    return Image(record["id"], _image_path(record, folder, split), height, width, parts)


def _annotation(record: dict[str, Any], height: int, width: int) -> Annotation:
    x, y, w, h = (float(value) for value in record["bbox"])
    box = (x, y, x + w, y + h)
    if not all(map(math.isfinite, box)) or min(x, y) < -SLACK or box[2] > width + SLACK or box[3] > height + SLACK:
        raise InputError(
            f"annotation {record['id']}: its box {record['bbox']} lies outside the {width}x{height} image:"
            " boxes are x y width height"
        )
    return Annotation(
        id=record["id"],
        image_id=record["image_id"],
        category_id=record["category_id"],
        box=box,
        area=float(record["area"]),
        iscrowd=bool(record.get("iscrowd", 0)),
        segmentation=record["segmentation"],
    )


def _image_path(record: dict[str, Any], folder: Path, split: str) -> Path:
    """Return where an image lies, or where it would first be looked for.

    LVIS names no file but an address whose last two parts are the split's folder and the file: val2017/... or, for
    many images of its validation set, train2017/...
    """
    candidates = list(_candidates(record, folder, split))
    return next((path for path in candidates if path.is_file()), candidates[0])


def _candidates(record: dict[str, Any], folder: Path, split: str) -> Iterator[Path]:
    if "file_name" in record:
        yield folder / "images" / record["file_name"]
        yield folder / split / record["file_name"]
    if "coco_url" in record:
        split, name = record["coco_url"].split("/")[-2:]
        for parent in (folder / split, folder / "images" / split, folder / "images"):
            yield parent / name
    if "file_name" not in record and "coco_url" not in record:
        raise KeyError("file_name")
