"""Masks found at points: the filters that they pass, duplicates among them, and how they become proposals.

Source: segment_anything/automatic_mask_generator.py and utils/amg.py, commit dca509f.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

from adapters.everything import RLE, EverythingSettings, Proposals
from adapters.rle import encode_masks

Watch = Callable[[Tensor], None]
"""Is shown (K, H, W) logits."""

Floats = NDArray[np.float32]


class Found(NamedTuple):
    """K masks: RLE, (K, 4) boxes of their outermost pixels, (K,) scores, and the (K, 2) points that they came from."""

    rles: list[RLE]
    boxes: Floats
    predicted_iou: Floats
    stability: Floats
    points: NDArray[np.float64]

    def only(self, rows: NDArray[np.integer]) -> Found:
        """Return some of them, in the order of ``rows``."""
        _, boxes, predicted_iou, stability, points = self
        rles = [self.rles[row] for row in rows.tolist()]
        return Found(rles, boxes[rows], predicted_iou[rows], stability[rows], points[rows])

    def without_duplicates(self, ranked_by: NDArray[np.floating], overlap: float) -> Found:
        """Return them best first, without those whose box has a higher IoU than ``overlap`` with a better one's."""
        kept = nms(torch.from_numpy(self.boxes), torch.from_numpy(np.asarray(ranked_by, np.float32)), overlap)
        return self.only(kept.numpy())

    def proposals(self) -> Proposals:
        """Return them ranked by the mean of predicted IoU and stability score."""
        scores = np.asarray((self.predicted_iou + np.nan_to_num(self.stability)) / 2, np.float32)
        return Proposals(self.rles, self.boxes, scores, self.predicted_iou, self.stability, self.points)


def joined(parts: Iterable[Found]) -> Found:
    """Return what several parts hold, one after the other."""
    none = np.zeros(0, np.float32)
    rles, *arrays = zip(Found([], none.reshape(0, 4), none, none, np.zeros((0, 2))), *parts, strict=True)
    boxes, predicted_iou, stability, points = map(np.concatenate, arrays)
    return Found([rle for part in rles for rle in part], boxes, predicted_iou, stability, points)


def filtered(
    restored: Iterable[Tensor],
    predicted_iou: Floats,
    points: NDArray[np.float64],
    settings: EverythingSettings,
    watch: Watch | None = None,
) -> Iterator[Found]:
    """Yield the masks whose stability score, taken at the image's own size, is high enough.

    Args:
        restored: K masks' logits at the image's size, in chunks.
        predicted_iou, points: (K,) and (K, 2), theirs.
        settings: the filter.
        watch: is shown the logits of what passes.
    """
    start = 0
    for logits in restored:
        part = slice(start, start + len(logits))
        start = part.stop
        stability = _stability(logits, settings.stability_offset)
        keep = stability >= settings.stability if settings.stability > 0 else torch.ones_like(stability).bool()
        if not keep.any():
            continue
        kept = logits[keep]
        if watch is not None:
            watch(kept)
        masks, rows = (kept > 0).view(torch.uint8), keep.cpu().numpy()
        boxes, stable = _boxes(masks).cpu().numpy(), stability[keep].float().cpu().numpy()
        yield Found(encode_masks(masks), boxes, predicted_iou[part][rows], stable, points[part][rows])


def _stability(logits: Tensor, offset: float) -> Tensor:
    """Return the IoU of each mask at logits above +offset and above -offset; NaN where both are empty."""
    inner, outer = (torch.count_nonzero(logits > threshold, dim=(1, 2)) for threshold in (offset, -offset))
    return inner / outer


def _boxes(masks: Tensor) -> Tensor:
    """Return (K, 4) float32 x0 y0 x1 y1 of the outermost pixels of (K, H, W) 0/1 masks; zeros for an empty one."""

    def extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
        first, last = occupied.argmax(1), occupied.shape[1] - 1 - occupied.flip(1).argmax(1)
        return first, torch.where(occupied.amax(1) > 0, last, 0)

    top, bottom = extent(masks.amax(2))
    left, right = extent(masks.amax(1))
    return torch.stack([left, top, right, bottom], dim=1).float()
