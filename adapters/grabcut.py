"""GrabCut (Rother, Kolmogorov, Blake 2004) by OpenCV: no learned weights, the floor that every model must beat."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts
from adapters.stages import stage

Cut = NDArray[np.uint8]
Placed = tuple[Cut, tuple[slice, slice]]


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> GrabCut:
    """Return the adapter with the settings of its card; it has no network, and stays on the CPU."""
    return GrabCut(card, weights)


@dataclass
class GrabCutEmbedding(Embedding):
    """The image itself, and made smaller for clicks: (H, W, 3) and (h, w, 3) uint8."""

    image: NDArray[np.uint8]
    small: NDArray[np.uint8]


class GrabCut(Adapter):
    """Colour models inside and outside the prompt, and a graph cut between them.

    A box is the rectangle that holds the object; around it only a margin is looked at. A cut that leaves hardly
    anything of the box has failed, and the box is the answer. Clicks are small discs that are certain; all the rest
    is probably background.
    """

    def __init__(self, card: ModelCard, weights: Weights) -> None:
        self.card, self.weights = card, weights
        self.settings = card.architecture

    def _encode(self, image: NDArray[np.uint8]) -> GrabCutEmbedding:
        with stage("preprocess"):
            factor = min(1.0, self.settings["long_side"] / max(image.shape[:2]))
            small = _resized(image, factor)
        height, width = image.shape[:2]
        return GrabCutEmbedding((height, width), image, small)

    def _decode(self, embedding: Embedding, prompts: Prompts) -> GrabCutCandidates:
        assert isinstance(embedding, GrabCutEmbedding)
        height, width = embedding.image_size
        whole = (slice(0, height), slice(0, width))
        nothing = np.zeros((len(prompts), 0, 2)), np.zeros((len(prompts), 0), np.int8)
        places, labels = nothing if prompts.points is None else (prompts.points, prompts.labels)
        assert labels is not None
        if prompts.boxes is not None:
            asked = zip(prompts.boxes, places, labels, strict=True)
            return GrabCutCandidates([self._from_box(embedding.image, *one) for one in asked], (height, width))
        small = embedding.small
        points = places * (small.shape[1] / width, small.shape[0] / height)
        cuts = [self._from_clicks(small, *clicks) for clicks in zip(points, labels, strict=True)]
        return GrabCutCandidates([(cut, whole) for cut in cuts], (height, width))

    def _from_box(
        self, image: NDArray[np.uint8], box: NDArray[np.float64], points: NDArray[np.float64], labels: NDArray[np.int8]
    ) -> Placed:
        """Return the cut within the box and its margin, helped by clicks, and where that lies in the image."""
        size = np.array(image.shape[1::-1])
        low, high = box[:2].clip(0), np.minimum(box[2:], size)
        margin = self.settings["margin"] * (high - low) + 4
        left, top = np.floor((low - margin).clip(0)).astype(int)
        right, bottom = np.ceil(np.minimum(high + margin, size)).astype(int)
        window = (slice(top, bottom), slice(left, right))
        scale = min(self.settings["largest_scale"], self.settings["long_side"] / max(bottom - top, right - left))
        small = _resized(image[window], scale)
        last = np.array(small.shape[1::-1]) - 1
        x0, y0 = np.minimum(np.rint((low - (left, top)) * scale).astype(int), last)
        x1, y1 = np.maximum(np.rint((high - (left, top)) * scale).astype(int), (x0 + 1, y0 + 1))
        seeds = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
        seeds[y0:y1, x0:x1] = cv2.GC_PR_FGD
        self._sow(seeds, (points - (left, top)) * scale, labels)
        cut = self._cut(small, seeds)
        if cut.sum() < self.settings["least_share"] * (y1 - y0) * (x1 - x0):
            cut[y0:y1, x0:x1] = 1
        return cut, window

    def _from_clicks(self, image: NDArray[np.uint8], points: NDArray[np.float64], labels: NDArray[np.int8]) -> Cut:
        seeds = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
        self._sow(seeds, points, labels)
        return self._cut(image, seeds)

    def _sow(self, seeds: Cut, points: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        for label, certain in ((FOREGROUND, cv2.GC_FGD), (BACKGROUND, cv2.GC_BGD)):
            for x, y in points[labels == label]:
                cv2.circle(seeds, (int(x), int(y)), self.settings["seed_radius"], certain, thickness=-1)

    def _cut(self, image: NDArray[np.uint8], seeds: Cut) -> Cut:
        """Return the (h, w) 0/1 foreground that the seeds (cv2.GC_*) grow to; needs both kinds of seed to cut."""
        foreground = _is_foreground(seeds)
        if foreground.any() and not foreground.all():
            cv2.setRNGSeed(0)
            models = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.grabCut(image, seeds, None, *models, self.settings["iterations"], cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        return _is_foreground(seeds).astype(np.uint8)


class GrabCutCandidates(Candidates):
    """One mask for each prompt, without a score."""

    def __init__(self, cuts: list[Placed], image_size: tuple[int, int]) -> None:
        self._cuts, self._image_size = cuts, image_size
        self.scores = np.full((len(cuts), 1), np.nan, dtype=np.float32)

    def _masks(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        masks = np.zeros((len(rows), *self._image_size), dtype=bool)
        for mask, row in zip(masks, rows, strict=True):
            cut, window = self._cuts[row]
            height, width = mask[window].shape
            mask[window] = cv2.resize(cut * 255, (width, height), interpolation=cv2.INTER_LINEAR) > 127
        return masks


def _is_foreground(seeds: Cut) -> NDArray[np.bool_]:
    return np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(length * factor)) for length in image.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)
