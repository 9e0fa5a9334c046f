"""One image in front of one model: encoded once for each way of resizing, and not asked the same thing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates, Embedding, Resize
from adapters.prompts import Prompts
from bench.metrics.iou import iou
from bench.protocols.boxes import Box, box_ious

AT_ONCE = 8
"""So many prompts have all their masks at the image's size at the same time."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Answers:
    """The model's answers to N prompts, and how good each of their masks is, measured when first asked.

    Attributes:
        candidates: N prompts x M masks.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self._ious: dict[str, Floats] = {}
        self._box_ious: Floats | None = None

    def ious(self, truths: Sequence[Mask], kind: str) -> Floats:
        """Return (N, M) IoU in percent of every mask with its prompt's true mask.

        Args:
            truths: N masks, (H, W).
            kind: names them: of the same kind, they are the same.
        """
        if kind not in self._ious:
            self._ious[kind] = self._each(lambda own, row: iou(own, truths[row]))
        return self._ious[kind]

    def box_ious(self, boxes: Sequence[Box]) -> Floats:
        """Return (N, M) IoU of every mask's own box with its prompt's box."""
        if self._box_ious is None:
            self._box_ious = self._each(lambda own, row: box_ious(own, boxes[row]))
        return self._box_ious

    def _each(self, measure: Callable[[Mask, int], Floats]) -> Floats:
        count, masks = self.candidates.scores.shape
        measured = np.zeros((count, masks))
        for start in range(0, count, AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, count))
            all_masks = self.candidates.masks(np.tile(np.arange(masks), len(rows)), np.repeat(rows, masks))
            for row, own in zip(rows, all_masks.reshape(len(rows), masks, *all_masks.shape[1:]), strict=True):
                measured[row] = measure(own, row)
        return measured


class Session:
    """A model and an image.

    Args:
        adapter: the model.
        pixels: (H, W, 3) uint8 RGB.
        remembering: keep the answers to prompts without a history; worth it where several protocols share them.
    """

    def __init__(self, adapter: Adapter, pixels: NDArray[np.uint8], remembering: bool = False) -> None:
        self.adapter, self.pixels, self.remembering = adapter, pixels, remembering
        self._embeddings: dict[Resize, Embedding] = {}
        self._answers: dict[tuple[str, bytes, bytes, bytes], Answers] = {}

    def embedding(self, resize: Resize = "native") -> Embedding:
        """Return the encoded image, resized in a way that the model has."""
        if resize not in self._embeddings:
            self._embeddings[resize] = self.adapter.resizing(resize).encode(self.pixels)
        return self._embeddings[resize]

    def ask(self, prompts: Prompts, resize: Resize = "native") -> Answers:
        """Return the answers to prompts."""
        embedding = self.embedding(resize)
        alone = prompts.boxes is None or prompts.points is None
        short = prompts.points is None or prompts.points.shape[1] == 1
        if not (self.remembering and prompts.logits is None and alone and short):
            return Answers(self.adapter.decode(embedding, prompts))
        key = (resize, _bytes(prompts.boxes), _bytes(prompts.points), _bytes(prompts.labels))
        if key not in self._answers:
            self._answers[key] = Answers(self.adapter.decode(embedding, prompts))
        return self._answers[key]

    def forget(self) -> None:
        """Let go of the answers kept."""
        self._answers.clear()


def _bytes(array: NDArray[Any] | None) -> bytes:
    return b"" if array is None else array.tobytes()
