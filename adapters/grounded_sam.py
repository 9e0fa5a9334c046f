"""Grounded SAM: a detector finds boxes of what words name, and a segmenter answers the boxes by masks.

Source: IDEA-Research/Grounded-Segment-Anything@126abe6 (grounded_sam_demo.py, EfficientSAM/grounded_mobile_sam.py) and
luca-medeiros/lang-segment-anything@918043e (lang_sam/lang_sam.py, lang_sam/models). They differ in their parts, in
thresholds, in what they do about boxes found twice, and in which mask they take: all of it stands in the cards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Adapter, Choice, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.everything import RLE
from adapters.grounding import Grounded, GroundSettings
from adapters.prompts import Prompts, Words
from adapters.registry import load
from adapters.rle import encode_masks

BOXES_AT_ONCE, MASKS_AT_ONCE = 64, 8


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> GroundedSam:
    """Build both parts, the detector first."""
    detector, segmenter = (load(part, own, device, dtype) for part, own in zip(card.parts, weights.parts, strict=True))
    return GroundedSam(card, weights, device, dtype, detector, segmenter)


@dataclass
class GroundedSamEmbedding(Embedding):
    """The image as each part has encoded it."""

    detector: Embedding
    segmenter: Embedding


class GroundedSam(Adapter):
    """A detector that takes words, and a segmenter that takes boxes."""

    def __init__(
        self, card: ModelCard, weights: Weights, device: str, dtype: str, detector: Adapter, segmenter: Adapter
    ) -> None:
        self.card, self.weights, self.device, self.dtype = card, weights, device, dtype
        self.detector, self.segmenter = detector, segmenter
        self.mask: Choice = card.architecture["mask"]
        self.grounding = replace(detector.grounding, **card.architecture["grounding"])

    def parameters(self) -> int:
        return self.detector.parameters() + self.segmenter.parameters()

    def wait(self) -> None:
        self.segmenter.wait()

    def _encode(self, image: NDArray[np.uint8]) -> GroundedSamEmbedding:
        parts = self.detector.encode(image), self.segmenter.encode(image)
        return GroundedSamEmbedding(parts[1].image_size, *parts)

    def _ground(self, embedding: Embedding, words: Words, settings: GroundSettings) -> Grounded:
        assert isinstance(embedding, GroundedSamEmbedding)
        found = self.detector.ground(embedding.detector, words, settings)
        return replace(found, rles=self._masks(embedding.segmenter, found.boxes))

    def _masks(self, embedding: Embedding, boxes: NDArray[np.float32]) -> list[RLE]:
        """Return a mask for each of (K, 4) boxes; few are at the image's size at the same time."""
        rles: list[RLE] = []
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            candidates = self.segmenter.decode(embedding, Prompts.from_boxes(boxes[start : start + BOXES_AT_ONCE]))
            for first in range(0, len(candidates), MASKS_AT_ONCE):
                rows = np.arange(first, min(first + MASKS_AT_ONCE, len(candidates)))
                rles += encode_masks(torch.from_numpy(candidates.masks(self.mask, rows).view(np.uint8)))
        return rles
