"""Points as prompts for everything, through what any adapter has: decoding, and logits at the image's size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.adapter import Adapter, Embedding
from adapters.everything import EverythingSettings, Proposals, point_grid
from adapters.prompts import FOREGROUND, Prompts
from adapters.ways.found import Found, Watch, filtered, joined

AT_ONCE = 32
"""So many points are decoded together; each has logits of all its masks."""


def by_grid(adapter: Adapter, embedding: Embedding, settings: EverythingSettings) -> Proposals:
    """Return the masks of all points of a grid that pass the filters, best predicted IoU first."""
    points = point_grid(settings.points_per_side, embedding.image_size)
    found = adapter.found_at(embedding, points, settings)
    return found.without_duplicates(found.predicted_iou, settings.box_nms).proposals()


def by_decoding(
    adapter: Adapter,
    embedding: Embedding,
    points: NDArray[np.float64],
    settings: EverythingSettings,
    watch: Watch | None,
) -> Found:
    """Return what Adapter.found_at promises, of any adapter whose candidates give logits at the image's size."""
    with torch.inference_mode():
        return joined(_found(adapter, embedding, points, settings, watch))


def _found(
    adapter: Adapter,
    embedding: Embedding,
    points: NDArray[np.float64],
    settings: EverythingSettings,
    watch: Watch | None,
) -> Iterator[Found]:
    for start in range(0, len(points), AT_ONCE):
        part = points[start : start + AT_ONCE]
        candidates = adapter.decode(embedding, Prompts.from_points(part[:, None], np.full((len(part), 1), FOREGROUND)))
        columns = np.arange(candidates.scores.shape[1])[candidates.multimask]
        scores = candidates.scores[:, columns]
        passing = scores > settings.predicted_iou if settings.predicted_iou > 0 else np.ones_like(scores, bool)
        rows, own = np.nonzero(passing)
        if len(rows):
            restored = candidates.restored(rows, columns[own])
            yield from filtered(restored, scores[passing], part[rows], settings, watch)
