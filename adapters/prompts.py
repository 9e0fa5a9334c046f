"""Prompts: what a model is asked about one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.errors import InputError

FOREGROUND, BACKGROUND, PADDING = 1, 0, -1

LOGITS = 256
"""The side of low-resolution logits in the families that take them as a prompt."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """One image's N prompts, each a box, K clicks, or both, in pixels of the original image, x right, y down.

    Attributes:
        boxes: (N, 4) float64, x0 y0 x1 y1, or None.
        points: (N, K, 2) float64, x y, or None.
        labels: (N, K) int8: 1 foreground, 0 background, -1 padding; given exactly when points are.
        logits: (N, 256, 256) float32, an earlier answer's low-resolution logits for families that take them, or None.

    The arrays are checked copies and can't be written to. Build with :meth:`from_boxes`, :meth:`from_points` or
    :meth:`from_boxes_and_points`.

    Raises:
        InputError: on a wrong shape, a value that isn't finite, an empty or inverted box, an unknown label.
    """

    boxes: NDArray[np.float64] | None = None
    points: NDArray[np.float64] | None = None
    labels: NDArray[np.int8] | None = None
    logits: NDArray[np.float32] | None = None

    @classmethod
    def from_boxes(cls, boxes: ArrayLike, logits: ArrayLike | None = None) -> Prompts:
        """Return prompts from (N, 4) boxes, x0 y0 x1 y1."""
        return cls(boxes=_array("boxes", boxes), logits=_logits(logits))

    @classmethod
    def from_points(cls, points: ArrayLike, labels: ArrayLike, logits: ArrayLike | None = None) -> Prompts:
        """Return prompts from (N, K, 2) points, x y, and (N, K) labels."""
        return cls(points=_array("points", points), labels=_labels(labels), logits=_logits(logits))

    @classmethod
    def from_boxes_and_points(
        cls, boxes: ArrayLike, points: ArrayLike, labels: ArrayLike, logits: ArrayLike | None = None
    ) -> Prompts:
        """Return prompts each made of a box and clicks: (N, 4) boxes, (N, K, 2) points, (N, K) labels."""
        return cls(_array("boxes", boxes), _array("points", points), _labels(labels), _logits(logits))

    def __post_init__(self) -> None:
        for name in ("boxes", "points", "labels", "logits"):
            array = getattr(self, name)
            object.__setattr__(self, name, None if array is None else np.array(array))
        if self.boxes is None and self.points is None:
            raise InputError("prompts are boxes, points, or both: give one of them")
        if self.boxes is not None:
            _check_boxes(self.boxes)
        if self.points is not None:
            _check_points(self.points, self.labels)
        if self.boxes is not None and self.points is not None and len(self.boxes) != len(self.points):
            raise InputError(f"{len(self.boxes)} boxes, but points for {len(self.points)} prompts")
        if self.logits is not None:
            if self.logits.shape != (len(self), LOGITS, LOGITS):
                raise InputError(f"logits: shape {(len(self), LOGITS, LOGITS)} needed, got {self.logits.shape}")
            if not np.isfinite(self.logits).all():
                raise InputError("logits: a value isn't finite")
        for array in (self.boxes, self.points, self.labels, self.logits):
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        coordinates = self.boxes if self.boxes is not None else self.points
        assert coordinates is not None
        return len(coordinates)

    def __getitem__(self, rows: slice) -> Prompts:
        """Return the prompts of a slice of rows."""
        parts = (self.boxes, self.points, self.labels, self.logits)
        return Prompts(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]

    def check_inside(self, height: int, width: int) -> None:
        """Raise InputError where a point lies outside an image of this size, or a box doesn't overlap it.

        A box that sticks out is let through: detectors make such boxes, and each family has its own way with them.
        """
        size = f"the {width}x{height} image"
        if self.boxes is not None:
            x0, y0, x1, y1 = self.boxes.T
            outside = (x1 <= 0) | (y1 <= 0) | (x0 >= width) | (y0 >= height)
            for row in np.flatnonzero(outside):
                raise InputError(f"box {row} {self.boxes[row].tolist()} lies outside {size}: boxes are x0 y0 x1 y1")
        if self.points is not None:
            assert self.labels is not None
            beyond = (self.points < 0).any(-1) | (self.points[..., 0] > width) | (self.points[..., 1] > height)
            for row, click in np.argwhere(beyond & (self.labels != PADDING)):
                raise InputError(f"point {self.points[row, click].tolist()} of prompt {row} lies outside {size}")


@dataclass(frozen=True)
class Words:
    """Phrases whose objects are asked for in an image: "a dog", "traffic light".

    They are a question of their own, and no :class:`Prompts`: how many masks answer them isn't known before, and one
    look at the image answers all of them together.

    Attributes:
        phrases: without white space around them, otherwise as given; each family writes them as it was trained to.

    Raises:
        InputError: where there is no phrase, or one is empty or isn't text.
    """

    phrases: tuple[str, ...]

    @classmethod
    def from_phrases(cls, phrases: Sequence[str]) -> Words:
        """Return words of phrases, such as a data set's category names."""
        if isinstance(phrases, str):
            raise InputError("words: a list of phrases needed; for a text, Words.from_caption")
        return cls(tuple(phrases))

    @classmethod
    def from_caption(cls, caption: str) -> Words:
        """Return words of a text whose phrases are separated by full stops: "a dog. a cat"."""
        return cls(tuple(phrase for phrase in caption.split(".") if phrase.strip()))

    def __post_init__(self) -> None:
        if not self.phrases:
            raise InputError("words: no phrase is given: phrases such as 'a dog', separated by full stops in a text")
        for number, phrase in enumerate(self.phrases):
            if not isinstance(phrase, str) or not _is_unicode(phrase):
                raise InputError(f"words: phrase {number} isn't text")
            if not phrase.strip():
                raise InputError(f"words: phrase {number} is empty")
        object.__setattr__(self, "phrases", tuple(" ".join(phrase.split()) for phrase in self.phrases))

    def __len__(self) -> int:
        return len(self.phrases)


def _is_unicode(text: str) -> bool:
    """Return whether a text is Unicode: what a terminal couldn't decode stands in it as a lone surrogate."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: numbers needed ({error})") from None


def _labels(values: ArrayLike) -> NDArray[np.int8]:
    labels = _array("labels", values)
    if not np.isin(labels, (FOREGROUND, BACKGROUND, PADDING)).all():
        raise InputError("labels: 1 (foreground), 0 (background) or -1 (padding) needed")
    return labels.astype(np.int8)


def _logits(values: ArrayLike | None) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values, dtype=np.float32)


def _check_boxes(boxes: NDArray[np.float64]) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes: shape (N, 4) needed, got {boxes.shape}")
    if not np.isfinite(boxes).all():
        raise InputError("boxes: a coordinate isn't finite")
    for row in np.flatnonzero((boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])):
        raise InputError(
            f"box {row} {boxes[row].tolist()} is empty or inverted: x0 y0 x1 y1 needed, x1 > x0 and y1 > y0"
            " (COCO's boxes are x y width height)"
        )


def _check_points(points: NDArray[np.float64], labels: NDArray[np.int8] | None) -> None:
    if points.ndim != 3 or points.shape[2] != 2 or points.shape[1] == 0:
        raise InputError(f"points: shape (N, K, 2) with K >= 1 needed, got {points.shape}")
    if labels is None or labels.shape != points.shape[:2]:
        raise InputError(f"labels: shape {points.shape[:2]} needed, got {None if labels is None else labels.shape}")
    if not np.isfinite(points).all():
        raise InputError("points: a coordinate isn't finite")
