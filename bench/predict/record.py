"""What is written of an answer besides pictures: COCO results, and a record of what the numbers belong to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as codec

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.everything import RLE
from adapters.grounding import Grounded
from bench.predict.ask import Answer
from bench.predict.picture import Picture
from bench.predict.request import Request

IMAGE_ID = CATEGORY_ID = 1
SURE = 1.0
"""The score in COCO's format of a mask for which the model makes none; the format needs a number."""


def coco_results(answer: Answer) -> list[dict[str, Any]]:
    """Return all masks of an answer in COCO's results format, one image; "mask" says which each is.

    There is one category, but for what words find: there a phrase's number, from 1; boxes stand without a mask where
    the model finds boxes alone.
    """
    found = []
    for mask in answer.masks:
        rle = codec.encode(np.asfortranarray(mask.pixels.astype(np.uint8)))
        rle = {**rle, "counts": rle["counts"].decode("ascii")}
        found.append(_result(rle, SURE if mask.score is None else mask.score, mask.kind))
    if answer.proposals is not None:
        for rle, score in zip(answer.proposals.rles, answer.proposals.scores, strict=True):
            found.append(_result(rle, float(score), "everything"))
    return found if answer.found is None else [*found, *_by_words(answer.found)]


def image_record(picture: Picture, request: Request) -> dict[str, Any]:
    """Return which image it was, and what was asked."""
    height, width = picture.size
    prompts = request.prompts
    parts = {} if prompts is None else {"box": prompts.boxes, "points": prompts.points, "labels": prompts.labels}
    asked = {name: part[0].tolist() for name, part in parts.items() if part is not None}
    image = {"id": IMAGE_ID, "file_name": picture.name, "sha256": picture.digest, "height": height, "width": width}
    words = None if request.words is None else list(request.words.phrases)
    return {"image": image, "prompt": asked or None, "everything": request.everything, "words": words}


def model_record(card: ModelCard, weights: Weights | None, answer: Answer | None, refused: list[str]) -> dict[str, Any]:
    """Return who answered, with which weights, what, how fast, and what was refused; weights are None if not asked."""
    record: dict[str, Any] = {"model": card.name, "source": card.source, "refused": refused}
    if weights is None or answer is None:
        return record
    masks = [
        {"mask": mask.kind, "score": mask.score, "stability": mask.stability, "area": int(mask.pixels.sum())}
        for mask in answer.masks
    ]
    proposals = None if answer.proposals is None else len(answer.proposals)
    who = {"weights": weights.identity, "official": weights.official, "score_is": card.score}
    return {**record, **who, "masks": masks, "proposals": proposals, "found": _found(answer), "seconds": answer.seconds}


def _found(answer: Answer) -> list[dict[str, Any]] | None:
    """Return of each detection its phrase, the model's own label, score, and its mask's area in px²."""
    if answer.found is None or answer.words is None:
        return None
    rles = answer.found.rles
    areas = [None] * len(answer.found) if rles is None else [int(codec.area(rle)) for rle in rles]
    rows = zip(answer.found.phrases, answer.found.labels, answer.found.scores.tolist(), areas, strict=True)
    return [
        {"phrase": answer.words.phrases[phrase], "label": label, "score": score, "area": area}
        for phrase, label, score, area in rows
    ]


def _by_words(found: Grounded) -> Iterator[dict[str, Any]]:
    """Yield detections in COCO's results format; boxes that may stick out of the image, and masks if there are any."""
    for row, (x0, y0, x1, y1) in enumerate(found.boxes.tolist()):
        place = {"image_id": IMAGE_ID, "category_id": int(found.phrases[row]) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        mask = {} if found.rles is None else {"segmentation": found.rles[row]}
        yield {**place, "score": float(found.scores[row]), **mask, "mask": "words", "label": found.labels[row]}


def _result(rle: RLE, score: float, kind: str) -> dict[str, Any]:
    box = [float(value) for value in codec.toBbox(rle)]
    place = {"image_id": IMAGE_ID, "category_id": CATEGORY_ID, "bbox": box}
    return {**place, "score": score, "segmentation": rle, "mask": kind}
