"""MobileSAMv2's way: boxes of objects that a detector finds, and for each the mask that is meant to stand alone.

Source: ChaoningZhang/MobileSAM@34bbbfd, MobileSAMv2/Inference.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.errors import InputError
from adapters.everything import RLE, Boxes, EverythingSettings, Proposals
from adapters.prompts import Prompts
from adapters.rle import areas, encode_masks
from adapters.ways.way import Way

BoxSource = Callable[[NDArray[np.uint8]], Boxes]

AT_ONCE = 64
"""So many boxes are decoded together; each has logits of all the model's masks."""


def boxes_of(detector: Adapter, settings: EverythingSettings) -> BoxSource:
    """Return where a model that detects finds objects, by confidence, detector_nms and max_detections of settings."""
    return lambda image: detector.detect(image, settings)


@dataclass(frozen=True)
class ObjectBoxes(Way):
    """Boxes as prompts: no filter, no non-maximum suppression; the masks of largest area come first.

    Proposals rank by the boxes' confidence; ``settings.max_detections`` boxes are taken at most, the most confident.

    Attributes:
        find: takes an (H, W, 3) uint8 RGB image and returns boxes that overlap it; for a model that detects,
            :func:`boxes_of`.
    """

    find: BoxSource | None = None

    def obstacle(self, card: ModelCard) -> str | None:
        return None if "box" in card.prompts else "it takes no boxes"

    def _propose(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding) -> Proposals:
        if self.find is None:
            raise InputError("boxes of objects are needed: where do they come from?")
        boxes, confidence = self._taken(self.find(image))
        answers = list(_answers(adapter, embedding, boxes))
        rles = [rle for part, _ in answers for rle in part]
        predicted_iou = np.concatenate([np.zeros(0, np.float32), *(scores for _, scores in answers)])
        order = np.argsort(-areas(rles), kind="stable")
        nothing = np.full(len(rles), np.nan, np.float32)
        return Proposals(
            rles=[rles[row] for row in order],
            boxes=boxes[order].astype(np.float32),
            scores=confidence[order].astype(np.float32),
            predicted_iou=predicted_iou[order],
            stability=nothing,
            points=np.full((len(rles), 2), np.nan),
        )

    def _taken(self, found: Boxes) -> Boxes:
        """Return the most confident boxes."""
        confidence = np.asarray(found.confidence, np.float64)
        best = np.argsort(-confidence, kind="stable")[: self.settings.max_detections]
        return Boxes(np.asarray(found.boxes, np.float64).reshape(-1, 4)[best], confidence[best])


def _answers(
    adapter: Adapter, embedding: Embedding, boxes: NDArray[np.floating]
) -> Iterator[tuple[list[RLE], NDArray[np.float32]]]:
    """Yield the single masks of boxes and their scores, some boxes at a time."""
    for start in range(0, len(boxes), AT_ONCE):
        candidates = adapter.decode(embedding, Prompts.from_boxes(boxes[start : start + AT_ONCE]))
        columns = candidates.singles()
        masks = torch.from_numpy(candidates.masks(columns).view(np.uint8))
        yield encode_masks(masks), candidates.scores[np.arange(len(columns)), columns]
