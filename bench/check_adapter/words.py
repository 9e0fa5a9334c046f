"""A check of what words find."""

from __future__ import annotations

import numpy as np

from adapters.grounding import Grounded
from adapters.prompts import Words
from bench.check_adapter.trial import NotShownError, Trial, WrongError

FEW = Words.from_caption("a red disc. a blue disc. a dog")


def words(trial: Trial) -> None:
    """Detections must agree with each other and with the image, and come again the same."""
    if "text" not in trial.card.prompts:
        return
    found = trial.adapter.ground(trial.embedding, FEW)
    if not isinstance(found, Grounded):
        raise WrongError(f"ground returned {type(found).__name__}, Grounded needed")
    _check_form(trial, found)
    again = trial.adapter.ground(trial.embedding, FEW)
    if not np.array_equal(again.boxes, found.boxes) or again.rles != found.rles:
        raise WrongError("asked twice by the same words, it finds other things")
    if not len(found):
        raise NotShownError("nothing was found")


def _check_form(trial: Trial, found: Grounded) -> None:
    count = len(found.labels)
    if found.boxes.shape != (count, 4) or found.scores.shape != (count,) or found.phrases.shape != (count,):
        raise WrongError(f"words: {count} labels, boxes {found.boxes.shape}, scores {found.scores.shape}")
    if not np.isfinite(found.boxes).all() or not np.isfinite(found.scores).all():
        raise WrongError("words: a score or a box isn't finite")
    if (found.boxes[:, 2:] <= found.boxes[:, :2]).any():
        raise WrongError("words: a box is empty: boxes are x0 y0 x1 y1")
    if not set(found.phrases.tolist()) <= set(range(len(FEW))):
        raise WrongError(f"words: a detection's phrase isn't one of the {len(FEW)} asked")
    if (np.diff(found.scores) > 0).any():
        raise WrongError("words: detections aren't best first")
    if (found.rles is None) != (trial.card.masks == 0):
        told = "none" if found.rles is None else "some"
        raise WrongError(f"words: the card says {trial.card.masks} masks, there are {told}")
    size = trial.scene.pixels.shape[:2]
    for rle in found.rles or ():
        if tuple(rle["size"]) != size:
            raise WrongError(f"words: a mask has size {tuple(rle['size'])}, the image {size}")
