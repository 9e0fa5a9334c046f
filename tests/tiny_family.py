"""A family small enough to read: masks are what has the colour of the click. It keeps to all that its card declares.

Tests of what isn't about a real model use it, and break it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.everything import Proposals, point_grid
from adapters.prompts import BACKGROUND, FOREGROUND, LOGITS, Prompts
from adapters.rle import encode_masks
from adapters.stages import stage

CARD = ModelCard(
    name="tiny",
    title="Tiny",
    family="tiny_family",
    source="tests/tiny_family.py",
    licence="Apache-2.0",
    parameters=6,
    preprocessing="none",
    prompts=frozenset({"box", "point", "negative", "box_point", "mask"}),
    masks=4,
    score="predicted_iou",
    everything=True,
    resizes=frozenset({"torch_antialias"}),
)
REACH = (40.0, 40.0, 30.0, 50.0)
"""How far a colour may be from the click's, in each of the four masks."""


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> Tiny:
    """Return the adapter."""
    return Tiny(card, weights)


@dataclass
class TinyEmbedding(Embedding):
    """The image after a normalisation that changes next to nothing: (H, W, 3) float32."""

    pixels: NDArray[np.float32]


class Tiny(Adapter):
    """What has the colour of the click, or of the box's middle, and isn't nearer to a background click's colour."""

    def __init__(self, card: ModelCard, weights: Weights) -> None:
        self.card, self.weights = card, weights
        self.norm = nn.BatchNorm2d(3).eval()

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.norm.parameters())

    def _encode(self, image: NDArray[np.uint8]) -> TinyEmbedding:
        with stage("encode"), torch.inference_mode():
            pixels = self.norm(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
        return TinyEmbedding(image.shape[:2], pixels)

    def _decode(self, embedding: TinyEmbedding, prompts: Prompts) -> TinyCandidates:
        logits = np.stack([self.logits(embedding.pixels, prompts[row : row + 1]) for row in range(len(prompts))])
        return TinyCandidates(logits, embedding.image_size)

    def logits(self, pixels: NDArray[np.float32], prompt: Prompts) -> NDArray[np.float32]:
        """Return (4, 256, 256) logits of a single prompt."""
        height, width = pixels.shape[:2]
        on, beside = self.colours(pixels, prompt)
        far = np.linalg.norm(pixels - on, axis=-1)
        for colour in beside:
            far = np.maximum(far, 40 + far - np.linalg.norm(pixels - colour, axis=-1))
        if prompt.boxes is not None:
            x0, y0, x1, y1 = prompt.boxes[0]
            rows, columns = np.mgrid[:height, :width]
            far[(columns < x0) | (columns >= x1) | (rows < y0) | (rows >= y1)] = 500
        small = cv2.resize(far, (LOGITS, LOGITS), interpolation=cv2.INTER_LINEAR)
        logits = (np.array(REACH)[:, None, None] - small) / 10
        return (logits if prompt.logits is None else logits + 0.1 * prompt.logits[0]).astype(np.float32)

    def colours(self, pixels: NDArray[np.float32], prompt: Prompts) -> tuple[NDArray[np.float32], list[NDArray]]:
        """Return the colour that is meant, and those that aren't."""
        on, beside = [], []
        if prompt.boxes is not None:
            on.append(_colour(pixels, prompt.boxes[0].reshape(2, 2).mean(axis=0)))
        if prompt.points is not None:
            on += [_colour(pixels, point) for point in prompt.points[prompt.labels == FOREGROUND]]
            beside += [_colour(pixels, point) for point in prompt.points[prompt.labels == BACKGROUND]]
        return np.mean(on, axis=0) if on else np.zeros(3), beside

    def _everything(self, embedding: TinyEmbedding, settings: object) -> Proposals:
        points = point_grid(settings.points_per_side, embedding.image_size)
        candidates = self._decode(embedding, Prompts.from_points(points[:, None], np.ones((len(points), 1))))
        masks = candidates.masks("best")
        boxes = np.array([cv2.boundingRect(mask.astype(np.uint8)) for mask in masks], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        scores, rows = candidates.best(), np.arange(len(points))
        return Proposals(
            encode_masks(torch.from_numpy(masks.astype(np.uint8))), boxes, candidates.scores[rows, scores],
            candidates.scores[rows, scores], candidates.stability()[rows, scores], points,
        )  # fmt: skip

    def _resizing(self, resize: object) -> Tiny:
        return copy(self)


class TinyCandidates(Candidates):
    """Four masks, the first meant to stand alone."""

    multimask = slice(1, None)

    def __init__(self, logits: NDArray[np.float32], image_size: tuple[int, int]) -> None:
        self.logits, self.image_size = logits, image_size
        self.scores = (1 / (1 + np.exp(-np.abs(logits).mean(axis=(2, 3))))).astype(np.float32)

    def stability(self) -> NDArray[np.float32]:
        inner, outer = ((self.logits > level).sum(axis=(2, 3)) for level in (1, -1))
        return (inner / np.maximum(outer, 1)).astype(np.float32)

    def chosen_logits(self, columns: NDArray[np.integer]) -> NDArray[np.float32]:
        return self.logits[np.arange(len(self)), columns]

    def _masks(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        height, width = self.image_size
        asked = zip(rows, columns, strict=True)
        return np.stack([cv2.resize(self.logits[row, column], (width, height)) > 0 for row, column in asked])


def _colour(pixels: NDArray[np.float32], point: NDArray[np.float64]) -> NDArray[np.float32]:
    x, y = np.minimum(point, (pixels.shape[1] - 1, pixels.shape[0] - 1)).astype(int)
    return pixels[max(y, 0), max(x, 0)]
