"""Asking for what words name: how it is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.everything import RLE


@dataclass(frozen=True)
class GroundSettings:
    """How what words name is asked for.

    Attributes:
        threshold: keep a detection whose score is above this.
        text_threshold: a detection's label is made of the tokens that score above this.
        nms: of boxes with a higher IoU than this, whatever their phrase, keep the one of highest score; None keeps all.
        max_detections: keep so many, best first; None keeps all.
    """

    threshold: float = 0.0
    text_threshold: float = 0.0
    nms: float | None = None
    max_detections: int | None = None


@dataclass
class Grounded:
    """K detections of what words name in one image, best first.

    Attributes:
        boxes: (K, 4) float32, x0 y0 x1 y1 in pixels; they may stick out of the image.
        scores: (K,) float32, the detector's.
        phrases: (K,) the index of the phrase each is of.
        labels: K texts, as the model itself puts it: it can be part of a phrase, of several ones, or empty.
        rles: K masks as COCO RLE (size, counts as text); None from a model that finds boxes alone.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    phrases: NDArray[np.intp]
    labels: list[str]
    rles: list[RLE] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[np.integer]) -> Grounded:
        """Return the detections of some rows."""
        labels = [self.labels[row] for row in rows]
        rles = None if self.rles is None else [self.rles[row] for row in rows]
        return Grounded(self.boxes[rows], self.scores[rows], self.phrases[rows], labels, rles)


def join(parts: Sequence[Grounded], settings: GroundSettings) -> Grounded:
    """Return the detections of several passes over an image, best first, as many as the settings let through."""
    masked = all(part.rles is not None for part in parts)
    found = Grounded(
        boxes=np.concatenate([part.boxes for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        phrases=np.concatenate([part.phrases for part in parts]),
        labels=[label for part in parts for label in part.labels],
        rles=[rle for part in parts for rle in part.rles or ()] if masked else None,
    )
    found = found[np.argsort(-found.scores, kind="stable")]
    if settings.nms is not None:
        found = found[_apart(found, settings.nms)]
    return found[np.arange(len(found))[: settings.max_detections]]


def _apart(found: Grounded, iou: float) -> NDArray[np.intp]:
    """Return the rows that non-maximum suppression leaves."""
    import torch
    from torchvision.ops import nms

    return np.asarray(nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), iou).numpy())
