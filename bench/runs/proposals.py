"""Answers that are kept as masks: from a detector's boxes, for everything in an image, for pairs of clicks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Candidates
from adapters.everything import RLE, EverythingSettings
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts
from adapters.rle import encode_masks
from bench.datasets import Image
from bench.protocols import Protocol
from bench.protocols.knobs import AveragePrecision, Everything
from bench.protocols.pairs import draw_pairs
from bench.protocols.selection import rule, select
from bench.runs.detections import DetectorBox
from bench.runs.session import AT_ONCE, Answers, Session

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


def everything(session: Session, image: Image, rules: Everything, resize: Any) -> list[Detection]:
    """Return everything that a model finds in an image, COCO results format, one category."""
    settings = EverythingSettings(
        points_per_side=rules.points_per_side,
        predicted_iou=rules.predicted_iou,
        stability=rules.stability,
        box_nms=rules.box_nms,
        confidence=rules.confidence,
        detector_nms=rules.detector_nms,
        max_detections=rules.max_detections,
    )
    proposals = session.adapter.everything(session.embedding(resize), settings)
    scores = proposals.scores
    if rules.rank == "predicted_iou" and not np.isnan(proposals.predicted_iou).any():
        scores = proposals.predicted_iou
    return [
        {"image_id": image.id, "category_id": 1, "score": float(score), "segmentation": rle}
        for rle, score in zip(proposals.rles, scores, strict=True)
    ]


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
