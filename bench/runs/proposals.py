"""Answers that are kept as masks: for a detector's boxes, everything in an image, words, pairs of clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates
from adapters.everything import RLE, Boxes
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts
from adapters.prompts import Words as Phrases
from adapters.rle import encode_masks
from adapters.stages import stage, unheard
from bench.datasets import Image
from bench.protocols import Protocol
from bench.protocols.knobs import AveragePrecision, Words
from bench.protocols.pairs import draw_pairs
from bench.protocols.selection import rule, select
from bench.runs.detections import DetectorBox
from bench.runs.session import AT_ONCE, Answers, Session
from bench.ways import finder, way

Detection = dict[str, Any]


def by_detector(
    session: Session, image: Image, boxes: Sequence[DetectorBox], rules: AveragePrecision, resize: Any, refine: int
) -> list[Detection]:
    """Return a mask for each of a detector's boxes, COCO results format."""
    if not boxes:
        return []
    places = [found.box for found in boxes]
    answers = session.ask(Prompts.from_boxes(places), resize)
    columns = select(rules.select, answers.candidates, box_ious=_box_ious(answers, rules, places))
    for _ in range(refine):
        logits = answers.candidates.chosen_logits(columns)
        answers = session.ask(Prompts.from_boxes(places, logits), resize)
        columns = select(rules.select, answers.candidates, box_ious=_box_ious(answers, rules, places))
    scores = _scores(answers.candidates, columns, boxes, rules)
    rles = _rles(answers.candidates, columns)
    results = []
    for found, score, rle in zip(boxes, scores, rles, strict=True):
        result = {"image_id": image.id, "category_id": found.category_id, "score": score, "segmentation": rle}
        if rules.detection_area == "box":
            x0, y0, x1, y1 = found.box
            result["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        results.append(result)
    return results


def everything(
    session: Session,
    image: Image,
    protocol: Protocol,
    resize: Any,
    boxes: Sequence[DetectorBox],
    detectors: Mapping[str, Adapter],
) -> list[Detection]:
    """Return everything that a model finds in an image, COCO results format, one category.

    All but encoding the image is one stage, named after the protocol: several in one run are told apart.
    """
    rules = protocol.everything
    assert rules is not None
    given = Boxes(np.array([found.box for found in boxes]).reshape(-1, 4), np.array([found.score for found in boxes]))
    segment = way(rules, finder(rules, given, detectors))
    adapter = session.adapter.resizing(resize)
    embedding = copy(session.embedding(resize))  # what a decoder keeps with it mustn't spare another protocol time
    with stage(f"everything/{protocol.name}", wait=adapter.wait), unheard():
        proposals = segment(adapter, session.pixels, embedding)
    scores = proposals.scores
    if rules.rank == "predicted_iou" and not np.isnan(proposals.predicted_iou).any():
        scores = proposals.predicted_iou
    return [
        {"image_id": image.id, "category_id": 1, "score": float(score), "segmentation": rle}
        for rle, score in zip(proposals.rles, scores, strict=True)
    ]


def by_words(
    session: Session, image: Image, categories: Mapping[int, str], rules: Words, resize: Any
) -> list[Detection]:
    """Return what the categories' names find, COCO results format."""
    ids = sorted(categories)
    phrases = Phrases.from_phrases([categories[category].replace("_", " ") for category in ids])
    own = session.adapter.grounding
    settings = replace(own, max_detections=min(rules.max_detections, own.max_detections or rules.max_detections))
    if rules.threshold != "own":
        settings = replace(settings, threshold=rules.threshold)
    found = session.adapter.ground(session.embedding(resize), phrases, settings)
    assert found.rles is not None
    results = []
    for (x0, y0, x1, y1), score, phrase, rle in zip(
        found.boxes.tolist(), found.scores.tolist(), found.phrases, found.rles, strict=True
    ):
        result = {"image_id": image.id, "category_id": ids[phrase], "score": score, "segmentation": rle}
        if rules.detection_area == "box":
            result["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        results.append(result)
    return results


def by_pairs(
    session: Session, image: Image, protocol: Protocol, distance: int, resize: Any
) -> tuple[list[Detection], int]:
    """Return the masks for pairs of clicks, numbered within the image, and how many pairs found no room."""
    assert protocol.pairs is not None
    seed = [protocol.seed, image.id, distance]
    points = draw_pairs(image.height, image.width, distance, protocol.pairs.each, seed)
    missing = protocol.pairs.each - len(points)
    if not len(points):
        return [], missing
    labels = np.tile(np.array([FOREGROUND, BACKGROUND]), (len(points), 1))
    candidates = session.ask(Prompts.from_points(points, labels), resize).candidates
    columns = select(rule(protocol.masks, 2), candidates)
    found = [
        {"image_id": image.id, "category_id": 1, "score": 1.0, "pair": number, "segmentation": rle}
        for number, rle in enumerate(_rles(candidates, columns))
    ]
    return found, missing


def _box_ious(answers: Answers, rules: AveragePrecision, places: Sequence[Any]) -> NDArray[np.float64] | None:
    return answers.box_ious(places) if rules.select == "box_iou" else None


def _scores(
    candidates: Candidates, columns: NDArray[np.intp], boxes: Sequence[DetectorBox], rules: AveragePrecision
) -> list[float]:
    detector = np.array([found.score for found in boxes])
    predicted = candidates.scores[np.arange(len(boxes)), columns].astype(float)
    by_rule = {"detector": detector, "predicted_iou": predicted, "product": detector * predicted}
    return [float(score) for score in by_rule[rules.score]]


def _rles(candidates: Candidates, columns: NDArray[np.intp]) -> list[RLE]:
    rles: list[RLE] = []
    for start in range(0, len(candidates), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(candidates)))
        rles += encode_masks(torch.from_numpy(candidates.masks(columns[rows], rows).view(np.uint8)))
    return rles
