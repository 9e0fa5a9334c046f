"""Tiny scenes with a few plain objects, nowhere symmetrical, so that a wrong coordinate frame shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.cards import ModelCard
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts

GROUND = (70, 90, 60)
OBJECTS = (
    ((220, 60, 50), (0.22, 0.30), (0.13, 0.16)),
    ((60, 90, 230), (0.74, 0.22), (0.16, 0.10)),
    ((240, 210, 70), (0.62, 0.74), (0.10, 0.15)),
)
"""Ellipses: colour, centre and half axes (x, y) in shares of width and height."""


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        truths: (3, H, W) bool, the objects.
        points: (3, 2) float64, x y in pixels, their centres.
    """

    pixels: NDArray[np.uint8]
    truths: NDArray[np.bool_]
    points: NDArray[np.float64]

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """(3, 4) x0 y0 x1 y1 of the objects' outermost pixels."""
        found = []
        for truth in self.truths:
            rows, columns = np.nonzero(truth)
            found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        return np.array(found, dtype=np.float64)

    def prompts(self, card: ModelCard) -> dict[str, Prompts]:
        """Return three prompts of each kind that a card declares, but for earlier masks, which a model must make."""
        ones = np.full((3, 1), FOREGROUND)
        pairs = np.stack([self.points, np.roll(self.points, 1, axis=0)], axis=1)
        labels = np.tile([FOREGROUND, BACKGROUND], (3, 1))
        kinds: dict[str, Callable[[], Prompts]] = {
            "box": lambda: Prompts.from_boxes(self.boxes),
            "point": lambda: Prompts.from_points(self.points[:, None], ones),
            "negative": lambda: Prompts.from_points(pairs, labels),
            "box_point": lambda: Prompts.from_boxes_and_points(self.boxes, self.points[:, None], ones),
        }
        return {kind: build() for kind, build in kinds.items() if kind in card.prompts}


def draw(height: int, width: int) -> Scene:
    """Return a scene of this size in pixels; the same on every call."""
    pixels = np.full((height, width, 3), GROUND, np.float64)
    truths, points = [], []
    for colour, centre, axes in OBJECTS:
        x, y = int(centre[0] * width), int(centre[1] * height)
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (x, y), (int(axes[0] * width), int(axes[1] * height)), 0, 0, 360, 1, thickness=-1)
        pixels[mask > 0] = colour
        truths.append(mask > 0)
        points.append((x, y))
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    return Scene((pixels + noise).clip(0, 255).astype(np.uint8), np.stack(truths), np.array(points, np.float64))
