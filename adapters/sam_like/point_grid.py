"""Points as prompts for everything, the short way for SAM-like families.

What passes the filters is what passes those of SamAutomaticMaskGenerator (segment_anything/automatic_mask_generator.py,
commit dca509f), in another order of work: predicted IoU is known before masks are upscaled, so only prompts and masks
that pass it go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.everything import EverythingSettings
from adapters.prompts import FOREGROUND, Prompts
from adapters.ways.found import Found, Watch, filtered, joined

if TYPE_CHECKING:
    from adapters.sam_like.adapter import SamEmbedding, SamLike


def found_at(
    adapter: SamLike,
    embedding: SamEmbedding,
    points: NDArray[np.float64],
    settings: EverythingSettings,
    watch: Watch | None,
) -> Found:
    """Return what Adapter.found_at promises."""
    with adapter.computing():
        return joined(_found(adapter, embedding, points, settings, watch))


def _found(
    adapter: SamLike,
    embedding: SamEmbedding,
    points: NDArray[np.float64],
    settings: EverythingSettings,
    watch: Watch | None,
) -> Iterator[Found]:
    prompts = Prompts.from_points(points[:, None], np.full((len(points), 1), FOREGROUND))
    multimask = range(1, adapter.card.masks)
    seen = 0
    for attended in adapter.attend(embedding, prompts):
        scores = attended.scores[:, 1:].float()
        passing = _all_or_above(scores, settings.predicted_iou)
        rows = passing.any(1).nonzero().flatten()
        if len(rows):
            logits = adapter.decoder.upscale(attended[rows], multimask).float()[passing[rows]]
            origin = seen + passing.nonzero()[:, 0].cpu().numpy()
            restored = adapter.restore(logits, embedding.image_size)
            yield from filtered(restored, scores[passing].cpu().numpy(), points[origin], settings, watch)
        seen += len(scores)


def _all_or_above(scores: Tensor, threshold: float) -> Tensor:
    return scores > threshold if threshold > 0 else torch.ones_like(scores, dtype=torch.bool)
