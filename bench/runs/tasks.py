"""The tasks: what is asked of a model about one image, and what is written down of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.cards import ModelCard
from adapters.errors import unknown
from adapters.everything import SETTINGS
from adapters.prompts import Prompts
from adapters.rle import encode_masks
from bench.datasets import Annotation, Image
from bench.metrics.iou import iou
from bench.protocols import Protocol
from bench.protocols.clicks import Clicker
from bench.runs.detections import DetectorBox

BOX, DETECTOR_BOX, EVERYTHING = "box", "detector_box", "everything"
INSTANCE_ROWS = 8
"""So many prompts have all their masks at the image's size at the same time."""

BLOCK_BYTES = 256 << 20
"""The true masks of so many bytes are held at the same time."""

Mask = NDArray[np.bool_]


@dataclass
class ImageResult:
    """What came out of one image.

    Attributes:
        rows: one for each task and annotation, as in instances.parquet.
        detections: by task, COCO results format.
        skipped: by task, how many annotations or boxes were left out for which reason.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    detections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)


def click_task(count: int) -> str:
    """Return the name of the task that takes a number after so many clicks."""
    return f"click{count}"


def expand_tasks(asked: Sequence[str], protocol: Protocol) -> list[str]:
    """Return the tasks asked for, in a fixed order, "click" standing for all click counts of the protocol.

    Raises:
        InputError: for an unknown task.
    """
    clicks = [click_task(count) for count in protocol.points.counts]
    known = [BOX, *clicks, DETECTOR_BOX, EVERYTHING]
    for task in asked:
        if task not in (*known, "click"):
            raise unknown("task", task, [*known, "click"])
    return [task for task in known if task in asked or (task in clicks and "click" in asked)]


def obstacle(card: ModelCard, task: str) -> str | None:
    """Return why a model can't do a task, None if it can."""
    if task == EVERYTHING:
        return None if card.everything else "it has no everything mode"
    if task in (BOX, DETECTOR_BOX):
        return None if "box" in card.prompts else "it takes no boxes"
    if "point" not in card.prompts:
        return "it takes no points"
    clicks = int(task.removeprefix("click"))
    if clicks > 1 and "negative" not in card.prompts:
        return "it takes no negative clicks, which this protocol makes"
    if card.max_points is not None and clicks > card.max_points:
        return f"it takes {card.max_points} points at most"
    return None


def evaluate(
    adapter: Adapter,
    image: Image,
    pixels: NDArray[np.uint8],
    tasks: Sequence[str],
    protocol: Protocol,
    boxes: Sequence[DetectorBox] = (),
) -> ImageResult:
    """Encode an image once and run all tasks on it."""
    result = ImageResult()
    clicks = [int(task.removeprefix("click")) for task in tasks if task.startswith("click")]
    instance_tasks = [BOX] * (BOX in tasks) + [click_task(count) for count in clicks]
    chosen, skipped = _chosen(image.annotations, protocol)
    result.skipped = {task: Counter(skipped) for task in instance_tasks}
    if not ((instance_tasks and chosen) or (DETECTOR_BOX in tasks and boxes) or EVERYTHING in tasks):
        return result
    embedding = adapter.encode(pixels)
    for block in _blocks(chosen, image):
        truths = [annotation.mask(image.height, image.width) for annotation in block]
        if BOX in tasks:
            result.rows += _by_boxes(adapter, embedding, block, truths, result.skipped[BOX])
        if clicks:
            result.rows += _by_clicks(adapter, embedding, block, truths, clicks)
    if DETECTOR_BOX in tasks:
        result.detections[DETECTOR_BOX] = _by_detector(adapter, embedding, image.id, boxes)
    if EVERYTHING in tasks:
        result.detections[EVERYTHING] = _everything(adapter, embedding, image.id, protocol)
    return result


def _chosen(annotations: Sequence[Annotation], protocol: Protocol) -> tuple[list[Annotation], Counter[str]]:
    chosen, skipped = [], Counter[str]()
    for annotation in annotations:
        if annotation.problem is not None:
            skipped["the annotation can't be used"] += 1
        elif annotation.area < protocol.annotations.min_area:
            skipped["area below the protocol's minimum"] += 1
        elif annotation.iscrowd and protocol.annotations.crowd == "exclude":
            skipped["crowd, which the protocol leaves out"] += 1
        else:
            chosen.append(annotation)
    return chosen, skipped


def _blocks(annotations: Sequence[Annotation], image: Image) -> Iterator[Sequence[Annotation]]:
    """Yield the annotations in blocks whose masks take a bounded amount of memory."""
    size = max(1, BLOCK_BYTES // (image.height * image.width))
    for start in range(0, len(annotations), size):
        yield annotations[start : start + size]


def _by_boxes(
    adapter: Adapter,
    embedding: Embedding,
    annotations: Sequence[Annotation],
    truths: Sequence[Mask],
    skipped: Counter[str],
) -> list[dict[str, Any]]:
    usable = [
        (annotation, truth)
        for annotation, truth in zip(annotations, truths, strict=True)
        if annotation.box[2] > annotation.box[0] and annotation.box[3] > annotation.box[1]
    ]
    if len(usable) < len(annotations):
        skipped["the annotation's box is empty"] += len(annotations) - len(usable)
    if not usable:
        return []
    annotations, truths = zip(*usable, strict=True)
    candidates = adapter.decode(embedding, Prompts.from_boxes([annotation.box for annotation in annotations]))
    measured = [numbers for numbers, _ in _measured(candidates, truths)]
    return [_row(BOX, annotation, numbers) for annotation, numbers in zip(annotations, measured, strict=True)]


def _by_clicks(
    adapter: Adapter,
    embedding: Embedding,
    annotations: Sequence[Annotation],
    truths: Sequence[Mask],
    counts: Sequence[int],
) -> list[dict[str, Any]]:
    """Click until the greatest count; every smaller count is met on the way."""
    rows: list[dict[str, Any]] = []
    clickers = [Clicker(truth) for truth in truths]
    answers: Sequence[Mask | None] = [None] * len(truths)
    for count in range(1, max(counts) + 1):
        for clicker, answer in zip(clickers, answers, strict=True):
            clicker.next(answer)
        clicks = np.array([clicker.clicks for clicker in clickers])
        candidates = adapter.decode(embedding, Prompts.from_points(clicks[..., :2], clicks[..., 2]))
        if count not in counts:
            answers = list(candidates.masks("best"))
            continue
        measured, answers = zip(
            *((numbers, mask.copy()) for numbers, mask in _measured(candidates, truths)), strict=True
        )
        for annotation, numbers, made in zip(annotations, measured, clicks, strict=True):
            rows.append(_row(click_task(count), annotation, numbers, made.ravel().tolist()))
    return rows


def _by_detector(
    adapter: Adapter, embedding: Embedding, image_id: int, boxes: Sequence[DetectorBox]
) -> list[dict[str, Any]]:
    if not boxes:
        return []
    candidates = adapter.decode(embedding, Prompts.from_boxes([found.box for found in boxes]))
    results = []
    for start in range(0, len(boxes), INSTANCE_ROWS):
        rows = np.arange(start, min(start + INSTANCE_ROWS, len(boxes)))
        masks = torch.from_numpy(candidates.masks("best", rows).view(np.uint8))
        for found, rle in zip(boxes[start:], encode_masks(masks), strict=False):
            results.append(
                {"image_id": image_id, "category_id": found.category_id, "score": found.score, "segmentation": rle}
            )
    return results


def _everything(adapter: Adapter, embedding: Embedding, image_id: int, protocol: Protocol) -> list[dict[str, Any]]:
    proposals = adapter.everything(embedding, SETTINGS[protocol.everything.settings])
    return [
        {"image_id": image_id, "category_id": 1, "score": float(score), "segmentation": rle}
        for rle, score in zip(proposals.rles, proposals.scores, strict=True)
    ]


def _measured(candidates: Candidates, truths: Sequence[Mask]) -> Iterator[tuple[dict[str, Any], Mask]]:
    """Yield for each prompt the IoU of the best, the single and the oracle's mask, and a view of the best mask."""
    count, masks = candidates.scores.shape
    best = candidates.best()
    multimask = np.arange(masks)[candidates.multimask]
    for start in range(0, count, INSTANCE_ROWS):
        rows = np.arange(start, min(start + INSTANCE_ROWS, count))
        columns = np.tile(np.arange(masks), len(rows))
        everyone = candidates.masks(columns, np.repeat(rows, masks))
        for row, own in zip(rows, everyone.reshape(len(rows), masks, *everyone.shape[1:]), strict=True):
            ious = iou(own, truths[row])
            numbers = {
                "iou": float(ious[best[row]]),
                "iou_single": float(ious[candidates.single]),
                "iou_oracle": float(ious[multimask].max()),
                "score": _finite(candidates.scores[row, best[row]]),
            }
            yield numbers, own[best[row]]


def _finite(score: float) -> float | None:
    return float(score) if np.isfinite(score) else None


def _row(task: str, annotation: Annotation, numbers: dict[str, Any], clicks: list[int] | None = None) -> dict[str, Any]:
    return {
        "task": task,
        "image_id": annotation.image_id,
        "annotation_id": annotation.id,
        "category_id": annotation.category_id,
        "area": annotation.area,
        "iscrowd": annotation.iscrowd,
        **numbers,
        "clicks": clicks,
    }
