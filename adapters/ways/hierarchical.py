"""TinySAM's grid in two rounds: a coarse one, then points of the fine one where nothing sure was found yet.

Source: xinghaochen/TinySAM@11589bc, tinysam/hierarchical_mask_generator.py (hierarchical_generate).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.everything import Proposals, point_grid
from adapters.ways.found import joined
from adapters.ways.way import Way, points_obstacle

COARSER = 4
"""The first round has one point for so many of the fine grid's along each side."""

AROUND = np.array(
    [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    + [(2, y) for y in (-1, 0, 1)]
    + [(x, 2) for x in (-1, 0, 1)]
    + [(2, 2)]
)
"""A coarse point's share of the fine grid, in steps x y: it stands second of four each way."""


@dataclass(frozen=True)
class Hierarchical(Way):
    """A grid of points_per_side // 4 points a side, then the rest of points_per_side where no mask is sure.

    Attributes:
        high_score: a mask of the first round covers the pixels where its logits, at the image's size, are above this;
            no point of the second round is set there.
    """

    high_score: float = 8.5

    def obstacle(self, card: ModelCard) -> str | None:
        return points_obstacle(card)

    def _propose(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding) -> Proposals:
        covered = torch.zeros(embedding.image_size, dtype=torch.bool)

        def cover(logits: Tensor) -> None:
            covered.logical_or_((logits > self.high_score).any(0).cpu())

        coarse = point_grid(self.settings.points_per_side // COARSER, embedding.image_size)
        first = adapter.found_at(embedding, coarse, self.settings, cover)
        fine = points_between(coarse, covered.numpy(), self.settings.points_per_side)
        second = adapter.found_at(embedding, fine, self.settings)
        found = joined([second, first])
        return found.without_duplicates(found.predicted_iou, self.settings.box_nms).proposals()


def points_between(
    coarse: NDArray[np.float64], covered: NDArray[np.bool_], points_per_side: int
) -> NDArray[np.float64]:
    """Return the (P, 2) points of the second round, in the order of the coarse points.

    They are whole steps away from coarse points, a step being the image's side // points_per_side. Where that leaves
    no remainder, the fine grid's last row and column lie on the image's edge and are left out.

    Args:
        coarse: (N, 2) points of the first round.
        covered: (H, W), where no point is set.
        points_per_side: of the fine grid.
    """
    height, width = covered.shape
    step = np.array([width // points_per_side, height // points_per_side])
    points = (coarse[:, None] + AROUND * step).reshape(-1, 2)
    points = points[(points < (width, height)).all(axis=1)]
    x, y = points.astype(int).T
    return np.asarray(points[~covered[y, x]])
