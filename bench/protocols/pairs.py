"""Pairs of clicks on an image of which nothing is known: one on, one beside whatever is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TRIES = 200


def draw_pairs(height: int, width: int, distance: int, count: int, seed: list[int]) -> NDArray[np.float64]:
    """Return (P, 2, 2) points, x y in pixels: P pairs a distance apart, the first click anywhere in the image.

    Args:
        height, width: of the image.
        distance: between the two, in pixels; the direction is any in which the second stays inside.
        count: so many pairs; fewer where the image is too small for the distance.
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    first = generator.uniform(0, 1, (TRIES * count, 2)) * (width - 1, height - 1)
    angle = generator.uniform(0, 2 * np.pi, TRIES * count)
    second = first + distance * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inside = (second >= 0).all(axis=1) & (second <= (width - 1, height - 1)).all(axis=1)
    return np.asarray(np.stack([first, second], axis=1)[inside][:count])
