"""From a folder to a dataset: our own layout, and the official ones of COCO and LVIS."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from adapters.errors import InputError
from bench.datasets.annotations import read_annotation, sticks_out
from bench.datasets.dataset import Dataset, Image

OWN = "annotations.json"
OFFICIAL = ("annotations/instances_*.json", "annotations/lvis_*.json", "instances_*.json", "lvis_*.json")
MANY = 0.2
"""If more boxes than this share stick out of their images, they are taken for x0 y0 x1 y1, which COCO's aren't."""


def open_dataset(place: str | Path) -> Dataset:
    """Read a folder of images/ with annotations.json, the official COCO or LVIS layout, or one annotation file of it.

    Raises:
        InputError: where there is no such place, or what it holds isn't that, or could be several things.
    """
    place = Path(place)
    if place.is_file():
        return read_dataset(place, place.parent.parent if place.parent.name == "annotations" else place.parent)
    if not place.is_dir():
        raise InputError(f"no folder {place}: --data takes sample or a folder of images/ with annotations.json")
    found = [path for pattern in OFFICIAL for path in sorted(place.glob(pattern))]
    if (place / OWN).is_file():
        found = [place / OWN]
    if not found:
        raise InputError(f"{place} holds no annotations: looked for {', '.join((OWN, *OFFICIAL))}")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(place)) for path in found)
        raise InputError(f"{place} holds several annotation files: name one of them as --data ({names})")
    return read_dataset(found[0], place)


def read_dataset(annotation_file: Path, folder: Path) -> Dataset:
    """Read an annotation file in COCO's or LVIS's format, with the images that lie in a folder.

    Raises:
        InputError: where it isn't in that format, or its ids contradict each other.
    """
    content = _json(annotation_file)
    try:
        dataset = _dataset(content, annotation_file, folder)
    except InputError as error:
        raise InputError(f"{annotation_file}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{annotation_file} isn't in COCO's format ({type(error).__name__}: {error})") from None
    return dataset


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None


def _dataset(content: Any, annotation_file: Path, folder: Path) -> Dataset:
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise InputError("images, annotations and categories needed: it isn't COCO's format")
    if not content["images"]:
        raise InputError("it names no images")
    _check_ids("image", content["images"])
    _check_ids("annotation", content["annotations"])
    categories = {category["id"]: str(category["name"]) for category in content["categories"]}
    by_image = defaultdict(list)
    for record in content["annotations"]:
        if record["category_id"] not in categories:
            raise InputError(f"annotation {record['id']}: category {record['category_id']} isn't among the categories")
        by_image[record["image_id"]].append(record)
    split = annotation_file.stem.partition("_")[2]
    images = [_image(record, by_image.pop(record["id"], []), folder, split) for record in content["images"]]
    for image_id, records in by_image.items():
        raise InputError(f"annotation {records[0]['id']} is of image {image_id}, which isn't there")
    _check_boxes(images)
    info = content.get("info")
    return Dataset(
        name=folder.resolve().name,
        kind="lvis" if any("neg_category_ids" in record for record in content["images"]) else "coco",
        annotation_file=annotation_file,
        images=images,
        categories=categories,
        known_images=frozenset(image.id for image in images),
        comparable=not (isinstance(info, dict) and info.get("synthetic", False)),
    )


def _check_ids(kind: str, records: Iterable[dict[str, Any]]) -> None:
    seen = set()
    for record in records:
        number = record["id"]
        if not isinstance(number, int):
            raise InputError(f"{kind} {number!r}: its id isn't a whole number")
        if number in seen:
            raise InputError(f"{kind} {number} stands there twice")
        seen.add(number)


def _check_boxes(images: list[Image]) -> None:
    annotations = [(image, annotation) for image in images for annotation in image.annotations]
    out = [(image, own) for image, own in annotations if sticks_out(own.box, image.height, image.width)]
    if len(out) > MANY * len(annotations):
        image, first = out[0]
        x0, y0, x1, y1 = first.box
        raise InputError(
            f"{len(out)} of {len(annotations)} boxes stick out of their images, such as annotation {first.id}'s"
            f" {[x0, y0, x1 - x0, y1 - y0]} of the {image.width}x{image.height} image: boxes are x y width height"
        )


def _image(record: dict[str, Any], annotations: Iterable[dict[str, Any]], folder: Path, split: str) -> Image:
    height, width = int(record["height"]), int(record["width"])
    parts = tuple(read_annotation(annotation, height, width) for annotation in annotations)
    return Image(record["id"], _image_path(record, folder, split), height, width, parts)


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
        parent, name = record["coco_url"].split("/")[-2:]
        for place in (folder / parent, folder / "images" / parent, folder / "images"):
            yield place / name
    if "file_name" not in record and "coco_url" not in record:
        raise InputError(f"image {record['id']} has neither file_name nor coco_url")
