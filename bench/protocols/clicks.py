"""Simulated clicks: where somebody would click who sees the true mask and the model's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters.prompts import BACKGROUND, FOREGROUND, PADDING
from bench.protocols.knobs import Points

Mask = NDArray[np.bool_]

RITM = Points(first="dt_center", next="ritm")
DEEP_ENOUGH = 20
"""mass_center looks no further once a pixel is so deep (segment-anything-fast, experiments/data.py)."""

LAYER_KERNEL = np.exp(-np.hypot(*np.mgrid[-1:2, -1:2]) / 0.35)
"""kornia.contrib.distance_transform's kernel of size 3 with h = 0.35."""

GRID = 256
FRAME = 1024


class Click(NamedTuple):
    """A click: x right, y down in pixels, and whether it is on the object (1), beside it (0), or none at all (-1)."""

    x: float
    y: float
    label: int


NO_CLICK = Click(0, 0, PADDING)


class Clicker:
    """Clicks on one object, one after the other.

    Args:
        mask: (H, W), the true mask.
        rules: how clicks are made; RITM's, if not given.
        seed: of random clicks, the annotation's number in it. The k-th click draws from a generator of its own, so that
            it depends on nothing but the seed, k, the mask and the answer.
        box: x0 y0 x1 y1, for the first click box_center.
        point: x y, for the first click annotation.
    """

    def __init__(
        self,
        mask: Mask,
        rules: Points = RITM,
        seed: Sequence[int] = (0,),
        box: Sequence[float] | None = None,
        point: tuple[float, float] | None = None,
    ) -> None:
        self.mask, self.rules, self.seed, self.box, self.point = mask, rules, seed, box, point
        self.clicks: list[Click] = []

    def next(self, answer: Mask | None = None) -> Click:
        """Return the next click, given the model's (H, W) answer so far (none: an empty one, or no prompt yet)."""
        if answer is None and not self.clicks:
            click = self._first()
        else:
            click = self._next(np.zeros_like(self.mask) if answer is None else answer)
        self.clicks.append(click)
        return click

    def _first(self) -> Click:
        if self.rules.first == "annotation":
            assert self.point is not None
            return Click(*self.point, FOREGROUND)
        if self.rules.first == "box_center":
            assert self.box is not None
            return Click(*box_center(self.box), FOREGROUND)
        if self.rules.first == "mass_center":
            return Click(*mass_center(self.mask), FOREGROUND)
        if self.rules.first == "layer_center":
            return Click(*layer_center(self.mask), FOREGROUND)
        if self.rules.first == "random":
            return self._random()
        return _deeper(self.mask, np.zeros((0, 2)), None)

    def _next(self, answer: Mask) -> Click:
        if self.rules.next == "random":
            return self._random()
        if self.rules.next == "random_error":
            return random_error(self.mask, answer, self._generator(), self.rules.error_grid, self.rules.least_error)
        taken = np.array([click[:2] for click in self.clicks]).reshape(-1, 2)
        return _deeper(self.mask & ~answer, taken, answer & ~self.mask)

    def _random(self) -> Click:
        return Click(*random_pixel(self.mask, self._generator()), FOREGROUND)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng([*self.seed, len(self.clicks)])


def deepest_pixel(mask: Mask) -> tuple[int, int]:
    """Return x y of the pixel farthest from the mask's edge and the image's, the first in row-major order of equals."""
    _, x, y = _deepest(mask, np.zeros((0, 2)))
    return x, y


def mass_center(mask: Mask) -> tuple[int, int]:
    """Return x y of the centre of mass, rounded half to even, where that is on the mask; else of a deep pixel.

    Deep is a pixel with many pixels of the mask in an unbroken line to all four sides; more than 20 count as 20, and
    the first in row-major order of equals is taken (segment-anything-fast, experiments/data.py, _get_center_point).
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0, 0
    y, x = int(np.rint(rows.sum() / len(rows))), int(np.rint(columns.sum() / len(columns)))
    if mask[y, x]:
        return x, y
    runs = [_run(mask, axis, forwards) for axis in (0, 1) for forwards in (True, False)]
    depth = np.minimum(np.minimum.reduce(runs), DEEP_ENOUGH)
    y, x = divmod(int(np.argmax(np.where(mask, depth, -1))), mask.shape[1])
    return x, y


def layer_center(mask: Mask) -> tuple[float, float]:
    """Return x y of the pixel that EdgeSAM's evaluation clicks first (training/data/coco_dataset.py).

    Its distance transform (kornia's) peels the mask layer by layer, in steps of the eight neighbours, at 1024 along the
    long side. Of the innermost layer it takes the pixel with the least weight of outer neighbours, exp(-d / 0.35) each,
    the first in row-major order of equals. That can be far from the pixel farthest from the edge.
    """
    height, width = mask.shape
    new_height, new_width = frame_size(height, width)
    rows, columns = (_nearest(np.arange(new), size, new) for size, new in ((height, new_height), (width, new_width)))
    frame = np.pad(mask[np.ix_(rows, columns)], 1).astype(np.uint8)
    layers = np.rint(cv2.distanceTransform(frame, cv2.DIST_C, 3))
    innermost = layers == layers.max()
    outer = cv2.filter2D((~innermost).astype(np.float64), -1, LAYER_KERNEL, borderType=cv2.BORDER_CONSTANT)
    weight = np.where(innermost, np.round(outer, 9), np.inf)[1:-1, 1:-1]
    y, x = divmod(int(np.argmin(weight)), new_width)
    return x * width / new_width, y * height / new_height


def random_pixel(mask: Mask, generator: np.random.Generator) -> tuple[int, int]:
    """Return x y of any of the mask's pixels, all equally likely; the first pixel of an empty mask."""
    pixels = np.flatnonzero(mask)
    if not len(pixels):
        return 0, 0
    y, x = divmod(int(pixels[generator.integers(len(pixels))]), mask.shape[1])
    return x, y


def random_error(
    mask: Mask, answer: Mask, generator: np.random.Generator, grid: str | int = "image", least: int = 1
) -> Click:
    """Return a click on any pixel where the answer is wrong, or none where fewer than ``least`` are.

    On the grid of 256 both masks are looked at as EdgeSAM's refinement sees them (edge_sam/utils/common.py): scaled to
    1024 by nearest pixels, a grid cell belongs to a mask where one of its inner four pixels does, and the click goes to
    the cell's first pixel; a cell that lies partly outside the image is never missing. That code has the answer at this
    size already; here it comes from the image's size.
    """
    height, width = mask.shape
    if grid == "image":
        true, errors, step_x, step_y = mask, mask != answer, 1.0, 1.0
    else:
        (true, told), inside = (_on_grid(own) for own in (mask, answer)), _share_inside(height, width)
        errors = (true != told) & np.where(true, inside == 1, inside > 0)
        new_height, new_width = frame_size(height, width)
        step_x, step_y = FRAME / GRID * width / new_width, FRAME / GRID * height / new_height
    wrong = np.flatnonzero(errors)
    if len(wrong) < least:
        return NO_CLICK
    y, x = divmod(int(wrong[generator.integers(len(wrong))]), true.shape[1])
    label = FOREGROUND if true[y, x] else BACKGROUND
    return Click(x * step_x, y * step_y, label)


def box_center(box: Sequence[float]) -> tuple[float, float]:
    """Return x y of the middle of a box x0 y0 x1 y1."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _deeper(missing: Mask, taken: NDArray[np.float64], superfluous: Mask | None) -> Click:
    """Return RITM's and SimpleClick's next click (isegm/inference/clicker.py).

    It goes where the error is deepest: the pixel farthest from the edge of the missing region, or of the superfluous
    one if that is at least as deep. A clicked pixel isn't clicked again. Where there is no error left, that is a
    negative click on the image's first pixel.
    """
    inside = _deepest(missing, taken)
    beside = (0, 0, 0) if superfluous is None else _deepest(superfluous, taken)
    positive = inside[0] > beside[0]
    _, x, y = inside if positive else beside
    return Click(x, y, FOREGROUND if positive else BACKGROUND)


def _deepest(region: Mask, taken: NDArray[np.float64]) -> tuple[int, int, int]:
    """Return the greatest squared distance from the region's edge, and its x and y; zeros for an empty region.

    Squared distances between pixels are whole numbers: rounded to them, the transform is exact, and ties are ties on
    every machine. Only the region's bounding box is looked at, with the ring of outside pixels around it; no outside
    pixel is nearer than the ring.
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
    for x, y in taken.astype(int):
        if top <= y < bottom and left <= x < right:
            squared[y - top, x - left] = 0
    y, x = divmod(int(np.argmax(squared)), squared.shape[1])
    deepest = int(squared[y, x])
    return (deepest, left + x, top + y) if deepest else (0, 0, 0)


def _run(mask: Mask, axis: int, forwards: bool) -> NDArray[np.intp]:
    """Return for each pixel how many further pixels of the mask follow it along an axis without a break."""
    ordered = np.flip(mask, axis) if forwards else mask
    place = np.arange(mask.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    last_gap = np.maximum.accumulate(np.where(ordered, -1, place), axis=axis)
    run = np.where(ordered, place - last_gap - 1, 0)
    return np.flip(run, axis) if forwards else run


def frame_size(height: int, width: int) -> tuple[int, int]:
    """Return an image's size, height and width, once its long side is 1024 (ResizeLongestSide)."""
    scale = FRAME / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def _on_grid(mask: Mask) -> Mask:
    """Return the (h, w) cells of the grid of 256 along the long side that belong to a mask."""
    looked_at = []
    for size, new in zip(mask.shape, frame_size(*mask.shape), strict=True):
        looked_at.append(_nearest(np.minimum(_inner(new), new - 1), size, new))
    rows, columns = looked_at
    return np.asarray(mask[rows[:, None, :, None], columns[None, :, None, :]].any(axis=(2, 3)))


def _share_inside(height: int, width: int) -> NDArray[np.float64]:
    """Return (h, w): how much of each cell's inner four pixels lies in the image."""
    rows, columns = ((_inner(new) < new).mean(axis=1) for new in frame_size(height, width))
    return np.outer(rows, columns)


def _inner(new: int) -> NDArray[np.intp]:
    """Return (cells, 2): the two inner pixels of every cell along one side of the frame."""
    return np.arange(-(-new // 4))[:, None] * 4 + (1, 2)


def _nearest(places: NDArray[np.intp], size: int, new: int) -> NDArray[np.intp]:
    """Return the pixels of a side that nearest-neighbour scaling from ``size`` to ``new`` puts at some places.

    The product is taken in float32, as torch takes it.
    """
    taken = np.floor(places.astype(np.float32) * np.float32(size / new)).astype(np.intp)
    return np.asarray(np.minimum(taken, size - 1))
