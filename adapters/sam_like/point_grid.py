"""Everything by a grid of points, for the SAM-like families: filters, non-maximum suppression.

Gives the masks of SamAutomaticMaskGenerator without crops (segment_anything/automatic_mask_generator.py and
utils/amg.py, commit dca509f) in another order of work: predicted IoU is known before masks are upscaled, so only
prompts and masks that pass it go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from adapters.everything import RLE, EverythingSettings, Proposals, point_grid
from adapters.prompts import FOREGROUND, Prompts
from adapters.rle import encode_masks

if TYPE_CHECKING:
    from adapters.sam_like.adapter import SamEmbedding, SamLike


class _Found(NamedTuple):
    """K masks that passed the filters; ``prompts`` says which grid point each came from."""

    rles: list[RLE]
    boxes: Tensor
    predicted_iou: Tensor
    stability: Tensor
    prompts: Tensor


def propose(adapter: SamLike, embedding: SamEmbedding, settings: EverythingSettings) -> Proposals:
    """Return the masks of all grid points that pass the filters, best predicted IoU first."""
    points = point_grid(settings.points_per_side, embedding.image_size)
    with adapter.computing():
        found = list(_found(adapter, embedding, points, settings))
        boxes, predicted_iou, stability, prompts = (
            torch.cat([getattr(part, name) for part in found]) if found else torch.zeros(0)
            for name in ("boxes", "predicted_iou", "stability", "prompts")
        )
        kept = nms(boxes.view(-1, 4), predicted_iou, settings.box_nms).cpu()
    rles = [rle for part in found for rle in part.rles]
    predicted, stable = (values.cpu()[kept].numpy() for values in (predicted_iou, stability))
    return Proposals(
        rles=[rles[index] for index in kept.tolist()],
        boxes=boxes.view(-1, 4).cpu()[kept].numpy(),
        scores=(predicted + np.nan_to_num(stable)) / 2,
        predicted_iou=predicted,
        stability=stable,
        points=points[prompts.long().cpu()[kept].numpy()],
    )


def _found(
    adapter: SamLike, embedding: SamEmbedding, points: np.ndarray, settings: EverythingSettings
) -> Iterator[_Found]:
    prompts = Prompts.from_points(points[:, None], np.full((len(points), 1), FOREGROUND))
    multimask = range(1, adapter.card.masks)
    seen = 0
    for attended in adapter.attend(embedding, prompts):
        scores = attended.scores[:, 1:].float()
        passing = _all_or_above(scores, settings.predicted_iou)
        rows = passing.any(1).nonzero().flatten()
        if len(rows):
            logits = adapter.decoder.upscale(attended[rows], multimask).float()[passing[rows]]
            origin = seen + passing.nonzero()[:, 0]
            yield from _stable(adapter, embedding, logits, scores[passing], origin, settings)
        seen += len(scores)


def _stable(
    adapter: SamLike,
    embedding: SamEmbedding,
    logits: Tensor,
    scores: Tensor,
    origin: Tensor,
    settings: EverythingSettings,
) -> Iterator[_Found]:
    """Yield what passes the stability filter, which is taken at the image's own size."""
    start = 0
    for restored in adapter.restore(logits, embedding.image_size):
        part = slice(start, start + len(restored))
        start = part.stop
        stability = _stability(restored, settings.stability_offset)
        keep = stability >= settings.stability if settings.stability > 0 else torch.ones_like(stability).bool()
        if keep.any():
            masks = (restored[keep] > 0).view(torch.uint8)
            yield _Found(encode_masks(masks), _boxes(masks), scores[part][keep], stability[keep], origin[part][keep])


def _all_or_above(scores: Tensor, threshold: float) -> Tensor:
    return scores > threshold if threshold > 0 else torch.ones_like(scores, dtype=torch.bool)


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
