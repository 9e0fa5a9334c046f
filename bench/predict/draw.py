"""Pictures of answers: masks over the image, the prompt on top, all models side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray
from pycocotools import mask as codec

from adapters.everything import Proposals
from adapters.grounding import Grounded
from adapters.prompts import FOREGROUND, PADDING, Prompts, Words
from bench.predict.ask import BEST, Mask
from bench.predict.label import label_image

FILL, OUTLINE, LIGHT, DARK = (30, 144, 255), (255, 200, 0), (255, 255, 255), (20, 20, 20)
ON, BESIDE = (0, 140, 60), (200, 30, 30)
OPACITY = 0.5
PANEL, GAP, TITLE = 480, 12, 18
"""A panel of the sheet: its longest side, the space between two, the height of its title's letters, in pixels."""

Pixels = NDArray[np.uint8]


def draw_masks(image: Pixels, masks: Sequence[Mask], prompts: Prompts) -> Pixels:
    """Return the image with the best mask filled, another one outlined, and the prompt: (H, W, 3) uint8 RGB."""
    drawn = image.copy()
    for mask in masks:
        if mask.kind == BEST:
            drawn = _filled(drawn, mask.pixels, FILL)
    for mask in masks:
        _outline(drawn, mask.pixels, LIGHT if mask.kind == BEST else OUTLINE)
    return _with_prompt(drawn, prompts)


def draw_everything(image: Pixels, proposals: Proposals) -> Pixels:
    """Return the image with each proposal in a colour of its own, smaller ones on top: (H, W, 3) uint8 RGB."""
    labels = label_image(proposals, image.shape[:2])
    colours = np.random.default_rng(0).integers(40, 256, (len(proposals) + 1, 3))
    blended = np.where((labels > 0)[..., None], (1 - OPACITY) * image + OPACITY * colours[labels], image)
    return blended.astype(np.uint8)


def draw_found(image: Pixels, found: Grounded, words: Words) -> Pixels:
    """Return the image with what words found, a colour for each phrase, the best on top: (H, W, 3) uint8 RGB."""
    colours = np.random.default_rng(0).integers(40, 200, (len(words), 3))
    drawn, rows = image.copy(), range(len(found))[::-1]
    for row, rle in reversed(list(enumerate(found.rles or ()))):
        drawn = _filled(drawn, codec.decode(rle).astype(bool), tuple(colours[found.phrases[row]]))
    canvas = PIL.Image.fromarray(drawn)
    pen, font = PIL.ImageDraw.Draw(canvas), PIL.ImageFont.load_default(12 * _pen(image))
    for row in rows:
        colour = tuple(colours[found.phrases[row]].tolist())
        x0, y0, x1, y1 = found.boxes[row].tolist()
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=2 * _pen(image))
        told = f"{words.phrases[found.phrases[row]]} {found.scores[row]:.2f}"
        place = max(x0, 0.0), max(y0, 0.0)
        pen.rectangle(pen.textbbox(place, told, font=font), fill=colour)
        pen.text(place, told, fill=LIGHT, font=font)
    return np.array(canvas)


def draw_sheet(panels: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Return pictures of one size side by side, each under its title, made smaller where they are large."""
    font = PIL.ImageFont.load_default(TITLE)
    height, width = panels[0][1].shape[:2]
    factor = min(1.0, PANEL / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    cell = max(size[0], *(int(font.getlength(title)) + 1 for title, _ in panels))
    head = 2 * TITLE
    sheet = PIL.Image.new("RGB", (len(panels) * (cell + GAP) + GAP, size[1] + head + GAP), LIGHT)
    pen = PIL.ImageDraw.Draw(sheet)
    for number, (title, picture) in enumerate(panels):
        left = GAP + number * (cell + GAP)
        pen.text((left, TITLE // 2), title, fill=DARK, font=font)
        sheet.paste(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.LANCZOS), (left, head))
    return np.array(sheet)


def _filled(image: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> Pixels:
    image[mask] = (1 - OPACITY) * image[mask] + OPACITY * np.array(colour)
    return image


def _outline(image: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, colour, thickness=_pen(image))


def _with_prompt(image: Pixels, prompts: Prompts) -> Pixels:
    """Draw the box, and clicks as a plus on the object and a minus beside it, told apart without colours too."""
    pen = _pen(image)
    for x0, y0, x1, y1 in () if prompts.boxes is None else np.rint(prompts.boxes).astype(int).tolist():
        cv2.rectangle(image, (x0, y0), (x1, y1), DARK, 3 * pen)
        cv2.rectangle(image, (x0, y0), (x1, y1), LIGHT, pen)
    if prompts.points is None or prompts.labels is None:
        return image
    radius = 6 * pen
    for (x, y), label in zip(prompts.points[0].astype(int).tolist(), prompts.labels[0], strict=True):
        if label == PADDING:
            continue
        cv2.circle(image, (x, y), radius + pen, LIGHT, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), radius, ON if label == FOREGROUND else BESIDE, -1, cv2.LINE_AA)
        cv2.line(image, (x - 3 * pen, y), (x + 3 * pen, y), LIGHT, pen)
        if label == FOREGROUND:
            cv2.line(image, (x, y - 3 * pen), (x, y + 3 * pen), LIGHT, pen)
    return image


def _pen(image: Pixels) -> int:
    """Return a line's width that can be seen on an image of this size."""
    longest: int = max(image.shape)
    return max(1, round(longest / 640))
