"""Scenes that the suite draws itself, so that a run needs no download of data.

Textured objects of all three size classes overlap each other on a textured ground; some have holes, some thin parts,
one group in four images is a crowd. Masks are exact: what is visible of what was drawn. The scenes are written as an
ordinary COCO folder. Numbers on them are not comparable with any paper's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as codec

from adapters.checkpoints import cache_folder

VERSION = 1
COUNT, SEED, HEIGHT, WIDTH = 12, 0, 480, 640
LEAST_VISIBLE, LEAST_AREA = 0.5, 60
"""An object of which less than half is visible, or fewer pixels, isn't annotated (and not drawn)."""

AREAS = ((120, 900), (1300, 8500), (10500, 45000))
"""Ranges of px² of small, medium and large objects, within COCO's limits of 32² and 96²."""

Mask = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass
class Object:
    """One drawn object: category id, visible mask, whether it is a crowd."""

    category: int
    mask: Mask
    iscrowd: bool = False


def sample_folder() -> Path:
    """Return the folder of the default scenes, drawn on first use."""
    folder = cache_folder() / f"sample-v{VERSION}"
    if not folder.exists():
        write_sample(folder)
    return folder


def write_sample(folder: Path, count: int = COUNT, seed: int = SEED) -> None:
    """Write ``count`` scenes as images/, annotations.json and detections.json; the folder appears when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        draft = Path(temporary) / "sample"
        (draft / "images").mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        detections: list[dict[str, Any]] = []
        for image_id in range(1, count + 1):
            rng = np.random.default_rng([seed, image_id])
            pixels, objects = draw_scene(rng, crowded=image_id % 4 == 0)
            name = f"{image_id:06d}.png"
            Image.fromarray(pixels).save(draft / "images" / name)
            images.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
            for drawn in objects:
                annotations.append(_annotation(drawn, len(annotations) + 1, image_id))
            detections += _detections(rng, annotations[-len(objects) :], image_id)
        categories = [{"id": number, "name": name} for number, (name, _) in enumerate(SHAPES, start=1)]
        info = {"description": "scenes drawn by sambench", "version": VERSION, "seed": seed, "synthetic": True}
        content = {"info": info, "images": images, "annotations": annotations, "categories": categories}
        (draft / "annotations.json").write_text(json.dumps(content))
        (draft / "detections.json").write_text(json.dumps(detections))
        try:
            draft.replace(folder)
        except OSError:  # another process was quicker, with the same scenes
            if not (folder / "annotations.json").exists():
                raise


def draw_scene(rng: Rng, crowded: bool = False) -> tuple[NDArray[np.uint8], list[Object]]:
    """Return (HEIGHT, WIDTH, 3) uint8 RGB pixels and the objects in them, from back to front.

    Ground and objects share a few colours, so that colour alone doesn't tell them apart.
    """
    palette = rng.uniform(45, 210, (3, 3))
    canvas = _texture(rng, palette)
    objects: list[Object] = []
    if crowded:
        confetti = _confetti(rng)
        canvas = _painted(canvas, confetti, _texture(rng, palette))
        objects.append(Object(1, confetti, iscrowd=True))
    for size in rng.permutation([2, 2, 1, 1, 1, 1, 0, 0, 0, 0]):
        category = int(rng.integers(len(SHAPES)))
        shape = _placed(rng, SHAPES[category][1], float(rng.uniform(*AREAS[size])))
        if _fits(shape, objects):
            canvas = _painted(canvas, shape, _texture(rng, palette))
            for behind in objects:
                behind.mask &= ~shape
            objects.append(Object(category + 1, shape))
    pixels = cv2.GaussianBlur(canvas, (0, 0), 0.6) + rng.normal(0, 3, canvas.shape)
    return pixels.clip(0, 255).astype(np.uint8), objects


def _fits(shape: Mask, objects: list[Object]) -> bool:
    """Return whether a shape can be drawn with itself and all that it covers in part still visible enough."""
    if shape.sum() < LEAST_AREA:
        return False
    for behind in objects:
        left = np.count_nonzero(behind.mask & ~shape)
        if left < max(LEAST_AREA, LEAST_VISIBLE * np.count_nonzero(behind.mask)):
            return False
    return True


def _placed(rng: Rng, outline: Callable[[Rng, NDArray[np.float64]], Mask], area: float) -> Mask:
    """Return a shape of about ``area`` px² at a random place and angle.

    An outline is a function of (2, H, W) coordinates in which the shape fills about the square of side 1.
    """
    side = np.sqrt(area / 0.55)
    margin = 0.35 * side
    x = rng.uniform(margin, WIDTH - margin) if 2 * margin < WIDTH else WIDTH / 2
    y = rng.uniform(margin, HEIGHT - margin) if 2 * margin < HEIGHT else HEIGHT / 2
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    dx, dy = (columns - x) / side, (rows - y) / side
    turned = np.stack([dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)])
    return outline(rng, turned)


def _disc(rng: Rng, at: NDArray[np.float64]) -> Mask:
    squeeze = rng.uniform(0.6, 1.0)
    return np.asarray((at[0] / 0.5) ** 2 + (at[1] / (0.5 * squeeze)) ** 2 < 1)


def _blob(rng: Rng, at: NDArray[np.float64]) -> Mask:
    angle = np.arctan2(at[1], at[0])
    waves = np.arange(2, 6)
    amplitudes, phases = rng.uniform(0, 0.07, len(waves)), rng.uniform(0, 2 * np.pi, len(waves))
    radius = 0.42 + sum(a * np.cos(k * angle + p) for k, a, p in zip(waves, amplitudes, phases, strict=True))
    return np.asarray(np.hypot(at[0], at[1]) < radius)


def _ring(rng: Rng, at: NDArray[np.float64]) -> Mask:
    distance = np.hypot(at[0], at[1])
    return np.asarray((distance < 0.5) & (distance > rng.uniform(0.2, 0.34)))


def _rod(rng: Rng, at: NDArray[np.float64]) -> Mask:
    thin = rng.uniform(0.05, 0.09)
    return np.asarray((np.abs(at[0]) < 1.1) & (np.abs(at[1]) < thin))


def _tool(rng: Rng, at: NDArray[np.float64]) -> Mask:
    handle = (at[0] > -0.9) & (at[0] < 0.2) & (np.abs(at[1]) < rng.uniform(0.03, 0.06))
    head = np.hypot(at[0] - 0.35, at[1]) < 0.28
    bite = np.hypot(at[0] - 0.55, at[1]) < rng.uniform(0.1, 0.18)
    return np.asarray((handle | head) & ~bite)


SHAPES = (("disc", _disc), ("blob", _blob), ("ring", _ring), ("rod", _rod), ("tool", _tool))


def _confetti(rng: Rng) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = rng.uniform((120, 100), (WIDTH - 120, HEIGHT - 100))
    for x, y in rng.normal(centre, 35, (40, 2)):
        cv2.circle(mask, (int(x), int(y)), int(rng.integers(3, 7)), 1, thickness=-1)
    return mask.astype(bool)


def _texture(rng: Rng, palette: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (HEIGHT, WIDTH, 3) in 0 to 255: stripes, checks or blotches of two colours, or one with a gradient."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
    along = (columns * np.cos(angle) + rows * np.sin(angle)) / period
    across = (rows * np.cos(angle) - columns * np.sin(angle)) / period
    kind = ("stripes", "checks", "blotches", "plain")[rng.integers(4)]
    if kind == "stripes":
        pattern = np.sin(along)
    elif kind == "checks":
        pattern = np.sign(np.sin(along) * np.sin(across))
    elif kind == "blotches":
        blotches = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), period / 2)
        pattern = np.tanh(2 * blotches / blotches.std())
    else:
        pattern = np.sin(along * period / 250)
    first, second = palette[rng.choice(len(palette), 2, replace=False)]
    return np.asarray(first + (pattern[..., None] + 1) / 2 * (second - first))


def _painted(canvas: NDArray[np.float64], mask: Mask, texture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the canvas with a textured shape on it, lit from above as if it were round: darker towards its edge."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    light = 0.55 + 0.5 * np.sqrt(depth / max(1.0, float(depth.max())))
    return np.where(mask[..., None], texture * light[..., None], canvas)


def _annotation(drawn: Object, annotation_id: int, image_id: int) -> dict[str, Any]:
    """Return a COCO annotation: a crowd with uncompressed RLE, as COCO writes them, all others compressed."""
    rle = codec.encode(np.asfortranarray(drawn.mask.astype(np.uint8)))
    segmentation = {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")}
    if drawn.iscrowd:
        segmentation["counts"] = _run_lengths(drawn.mask)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": drawn.category,
        "bbox": [float(value) for value in codec.toBbox(rle)],
        "area": int(codec.area(rle)),
        "iscrowd": int(drawn.iscrowd),
        "segmentation": segmentation,
    }


def _run_lengths(mask: Mask) -> list[int]:
    column_first = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(np.diff(column_first))
    return [int(value) for value in np.diff(np.concatenate([[0], changes, [mask.size]]))]


def _detections(rng: Rng, annotations: list[dict[str, Any]], image_id: int) -> list[dict[str, Any]]:
    """Return boxes as a middling detector might give them: shaken, some with a wrong class, some of nothing."""
    found = []
    for annotation in annotations:
        if not annotation["iscrowd"]:
            x, y, w, h = annotation["bbox"]
            shake = rng.normal(0, 0.04, 4) * (w, h, w, h)
            wrong = rng.random() < 0.1
            category = int(rng.integers(len(SHAPES))) + 1 if wrong else annotation["category_id"]
            found.append((x + shake[0], y + shake[1], w + shake[2], h + shake[3], category, rng.uniform(0.3, 1)))
    for _ in range(3):
        x, y = rng.uniform(0, WIDTH - 90), rng.uniform(0, HEIGHT - 90)
        found.append((x, y, rng.uniform(20, 90), rng.uniform(20, 90), int(rng.integers(5)) + 1, rng.uniform(0, 0.6)))
    return [
        {
            "image_id": image_id,
            "category_id": category,
            "bbox": [round(float(value), 2) for value in (x, y, w, h)],
            "score": round(float(score), 4),
        }
        for x, y, w, h, category, score in found
    ]
