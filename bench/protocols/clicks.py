"""Simulated clicks: where somebody would click who sees the true mask and the model's answer."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.prompts import BACKGROUND, FOREGROUND

Mask = NDArray[np.bool_]


class Click(NamedTuple):
    """A click on a pixel: its column and row, and whether it is on the object (1) or beside it (0)."""

    x: int
    y: int
    label: int


class Clicker:
    """Clicks on one object, as RITM's and SimpleClick's Clicker makes them (isegm/inference/clicker.py).

    A click goes where the error is deepest: the pixel farthest from the edge of the missing region, or of the
    superfluous one if that is at least as deep; the image's edge counts as an edge. The distance is Euclidean and
    exact, a clicked pixel isn't clicked again, and of equals the first in row-major order is taken. Where there is no
    error left, that is a negative click on the image's first pixel.

    Args:
        mask: (H, W), the true mask.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.clicks: list[Click] = []

    def next(self, answer: Mask | None = None) -> Click:
        """Return the next click, given the model's (H, W) answer to the clicks so far (none: an empty one)."""
        if answer is None:
            missing, superfluous = self._deepest(self.mask), (0, 0, 0)
        else:
            missing, superfluous = self._deepest(self.mask & ~answer), self._deepest(answer & ~self.mask)
        positive = missing[0] > superfluous[0]
        _, x, y = missing if positive else superfluous
        click = Click(x, y, FOREGROUND if positive else BACKGROUND)
        self.clicks.append(click)
        return click

    def _deepest(self, region: Mask) -> tuple[int, int, int]:
        """Return the greatest squared distance from the region's edge, and its x and y; zeros for an empty region.

        Squared distances between pixels are whole numbers: rounded to them, the transform is exact, and ties are ties
        on every machine. Only the region's bounding box is looked at, with the ring of outside pixels around it; no
        outside pixel is nearer than the ring.
        """
        rows = np.flatnonzero(region.any(axis=1))
        if not len(rows):
            return 0, 0, 0
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(region[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        padded = np.pad(region[top:bottom, left:right], 1).astype(np.uint8)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        squared = np.rint(np.square(depth)).astype(np.int64)
        for click in self.clicks:
            if top <= click.y < bottom and left <= click.x < right:
                squared[click.y - top, click.x - left] = 0
        y, x = divmod(int(np.argmax(squared)), squared.shape[1])
        deepest = int(squared[y, x])
        return (deepest, left + x, top + y) if deepest else (0, 0, 0)
