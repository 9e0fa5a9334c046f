"""Checks of what else a card may declare: everything mode, other ways of resizing."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as codec

from adapters.everything import EverythingSettings, Proposals
from bench.check_adapter.answer import ask, difference
from bench.check_adapter.trial import NotShownError, Trial, WrongError

FEW = EverythingSettings(points_per_side=3, predicted_iou=0.0, stability=0.0, confidence=0.001, max_detections=20)


def everything_mode(trial: Trial) -> None:
    """Proposals must agree with each other and with the image, and come again the same."""
    if not trial.card.everything:
        return
    found = trial.adapter.everything(trial.embedding, FEW)
    if not isinstance(found, Proposals):
        raise WrongError(f"everything returned {type(found).__name__}, Proposals needed")
    _check_form(found)
    _check_masks(found, trial.scene.pixels.shape[:2])
    again = trial.adapter.everything(trial.embedding, FEW)
    if [rle["counts"] for rle in again.rles] != [rle["counts"] for rle in found.rles]:
        raise WrongError("asked twice for everything, it finds different masks")
    if not len(found):
        raise NotShownError("nothing was found")


def resizing(trial: Trial) -> None:
    """Each other way of resizing must work, and leave the adapter as it was."""
    kind = next(iter(trial.prompts))
    for how in sorted(trial.card.resizes):
        other = trial.adapter.resizing(how)
        if other is trial.adapter:
            raise WrongError(f"resizing({how!r}) changes the adapter itself: a copy is needed")
        if other.parameters() != trial.adapter.parameters():
            raise WrongError(f"resizing({how!r}) has other parameters")
        answer = ask(other, other.encode(trial.scene.pixels.copy()), trial.prompts[kind])
        if answer.masks.shape != trial.answers[kind].masks.shape:
            raise WrongError(f"resizing({how!r}): masks have shape {answer.masks.shape}")
        again = ask(trial.adapter, trial.encode(trial.scene), trial.prompts[kind])
        if (changed := difference(again, trial.answers[kind], trial.adapter.dtype)) is not None:
            raise WrongError(f"resizing({how!r}) changes the adapter it was made from: {changed}")


def _check_form(found: Proposals) -> None:
    count = len(found.rles)
    shapes = {"boxes": (count, 4), "scores": (count,), "predicted_iou": (count,), "stability": (count,),
              "points": (count, 2)}  # fmt: skip
    for name, shape in shapes.items():
        part = getattr(found, name)
        kind = np.float64 if name == "points" else np.float32
        if not isinstance(part, np.ndarray) or part.shape != shape or part.dtype != kind:
            told = f"{getattr(part, 'shape', '')} {getattr(part, 'dtype', type(part).__name__)}"
            raise WrongError(f"proposals' {name}: {told}, {shape} {np.dtype(kind)} needed")
    if not np.isfinite(found.scores).all() or not np.isfinite(found.boxes).all():
        raise WrongError("proposals: a score or a box isn't finite")


def _check_masks(found: Proposals, size: tuple[int, ...]) -> None:
    height, width = size[:2]
    if (found.boxes < -1).any() or (found.boxes > (width + 1, height + 1, width + 1, height + 1)).any():
        raise WrongError(f"proposals: a box leaves the {width}x{height} image: boxes are x0 y0 x1 y1 in its pixels")
    for rle in found.rles:
        if tuple(rle["size"]) != (height, width) or codec.decode(rle).shape != (height, width):
            raise WrongError(f"proposals: a mask has size {tuple(rle['size'])}, the image {(height, width)}")
