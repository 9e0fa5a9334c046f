"""Whether a runtime or a precision gives the masks that eager fp32 gives, before anybody looks at its speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter
from adapters.errors import InputError
from bench.latency.inputs import Inputs
from bench.latency.record import OutputCheck

LEAST_AGREEMENT = 0.98
IMAGES, PROMPTS = 3, 4


@dataclass(frozen=True)
class Answer:
    """One image's answers: scores (N, M); of the (N,) columns chosen, logits (N, h, w) and masks (N, H, W)."""

    scores: NDArray[np.float32]
    columns: NDArray[np.integer]
    logits: NDArray[np.float32] | None
    masks: NDArray[np.bool_]


def answers(adapter: Adapter, inputs: Inputs, like: list[Answer] | None = None) -> list[Answer]:
    """Return the answers to points on a few images.

    Args:
        adapter: the model.
        inputs: images and prompts.
        like: answers whose choice among the candidates is made again, so that a close call between two good masks
            doesn't count as a difference.
    """
    found = []
    for index in range(min(IMAGES, len(inputs))):
        embedding = adapter.encode(inputs.image(index))
        candidates = adapter.decode(embedding, inputs.points(index, PROMPTS))
        columns = candidates.best() if like is None else like[index].columns
        try:
            logits = candidates.chosen_logits(columns)
        except InputError:
            logits = None
        found.append(Answer(candidates.scores, columns, logits, candidates.masks(columns)))
    return found


def compare(own: list[Answer], eager: list[Answer]) -> OutputCheck:
    """Return how answers compare with eager fp32's to the same prompts."""
    pairs = list(zip(own, eager, strict=True))
    ious = [_iou(*masks) for ours, theirs in pairs for masks in zip(ours.masks, theirs.masks, strict=True)]
    return OutputCheck(miou_vs_eager=float(np.mean(ious)), finite=all(_as_finite(*pair) for pair in pairs))


def objection(check: OutputCheck) -> str | None:
    """Return why a condition with this outcome isn't timed, None if it may be."""
    if not check.finite:
        return "its output isn't finite where eager fp32's is"
    if check.miou_vs_eager < LEAST_AGREEMENT:
        return f"its masks have a mean IoU of {check.miou_vs_eager:.3f} with eager fp32's, {LEAST_AGREEMENT} needed"
    return None


def _iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask & other) / union if union else 1.0


def _as_finite(own: Answer, eager: Answer) -> bool:
    if not np.array_equal(np.isfinite(own.scores), np.isfinite(eager.scores)):
        return False
    return own.logits is None or bool(np.isfinite(own.logits).all())
