"""Pictures of one object: what was asked, what is true, what a model answered."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from adapters.prompts import FOREGROUND

LONG_SIDE, LEAST, MARGIN, QUALITY = 360, 120, 0.35, 78
ANSWER, TRUTH, BOX = (0, 114, 178), (255, 255, 255), (230, 159, 0)
ON, BESIDE = (0, 158, 115), (213, 94, 0)
TINT = 0.42

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]


def picture(
    pixels: Pixels,
    truth: NDArray[np.bool_],
    box: Box | None,
    clicks: NDArray[np.float64],
    around: Box,
    answer: NDArray[np.bool_] | None,
) -> str:
    """Return a JPEG as a data: address: the annotated outline in white, the answer in blue, box and clicks.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        truth, answer: (H, W) masks; without an answer, what isn't the object is dimmed.
        box: the prompt's, x0 y0 x1 y1, None if there was none.
        clicks: (K, 3) x, y, label.
        around: x0 y0 x1 y1 of what is to be seen.
    """
    x0, y0, x1, y1 = window(around, clicks, pixels.shape[0], pixels.shape[1])
    scale = LONG_SIDE / max(x1 - x0, y1 - y0)
    size = (max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0))))
    shrunk = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(np.ascontiguousarray(pixels[y0:y1, x0:x1]), size, interpolation=shrunk)
    outline = _sized(truth[y0:y1, x0:x1], size)
    if answer is not None:
        own = _sized(answer[y0:y1, x0:x1], size)
        tinted = (1 - TINT) * canvas[own] + TINT * np.array(ANSWER)
        canvas[own] = tinted.astype(np.uint8)
        _outline(canvas, own, ANSWER, 2)
    else:
        canvas[~outline] = (0.55 * canvas[~outline]).astype(np.uint8)
    _outline(canvas, outline, TRUTH, 1)
    if box is not None:
        left, top, right, bottom = (
            round(scale * (value - start)) for value, start in zip(box, (x0, y0) * 2, strict=True)
        )
        cv2.rectangle(canvas, (left, top), (right, bottom), BOX, 2, cv2.LINE_AA)
    for x, y, label in clicks:
        centre = (round(scale * (x + 0.5 - x0)), round(scale * (y + 0.5 - y0)))
        cv2.circle(canvas, centre, 7, TRUTH, -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, 5, ON if label == FOREGROUND else BESIDE, -1, cv2.LINE_AA)
    file = io.BytesIO()
    PIL.Image.fromarray(canvas).save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"


def window(around: Box, clicks: NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int]:
    """Return x0 y0 x1 y1 of the part of an image that holds an object and all clicks, with a margin."""
    xs, ys = [around[0], around[2], *clicks[:, 0]], [around[1], around[3], *clicks[:, 1]]
    limits = []
    for values, most in ((xs, width), (ys, height)):
        extent = max(max(values) - min(values), LEAST / 2)
        middle, half = (max(values) + min(values)) / 2, max((0.5 + MARGIN) * extent, LEAST / 2)
        limits.append((max(0, int(middle - half)), min(most, int(np.ceil(middle + half)))))
    (x0, x1), (y0, y1) = limits
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _sized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    resized = cv2.resize(np.ascontiguousarray(mask).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return resized.astype(bool)


def _outline(canvas: NDArray[Any], mask: NDArray[np.bool_], colour: tuple[int, int, int], thickness: int) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, (20, 20, 20), thickness + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA)
