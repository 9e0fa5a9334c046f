"""Which of a model's masks is taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Candidates
from bench.protocols.knobs import Masks, Select

Columns = NDArray[np.intp]
Floats = NDArray[np.floating]


def select(how: Select, candidates: Candidates, ious: Floats | None = None, box_ious: Floats | None = None) -> Columns:
    """Return (N,) columns, one of each prompt's M masks; of equals the first.

    Args:
        how: as in Masks.select.
        candidates: the model's answers to N prompts.
        ious: (N, M) IoU with the true masks, for the oracle.
        box_ious: (N, M) IoU of the masks' own boxes with the prompts', for box_iou.
    """
    if how == "score":
        return candidates.best()
    if how == "single":
        return candidates.singles()
    among = np.arange(candidates.scores.shape[1])[candidates.multimask]
    if len(among) == 1:
        return np.full(len(candidates), among[0])
    quality = {"oracle": ious, "box_iou": box_ious}[how] if how != "stability" else candidates.stability()
    assert quality is not None
    return np.asarray(among[np.argmax(quality[:, among], axis=1)])


def rule(masks: Masks, parts: int) -> Select:
    """Return how the mask is selected for a prompt of so many parts, clicks and a box counted."""
    return "single" if parts > 1 and masks.multi_click == "single_if_several" else masks.select
