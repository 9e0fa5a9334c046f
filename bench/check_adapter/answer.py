"""All that a model answered, to be held against another answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.errors import InputError
from adapters.prompts import Prompts

SCORES = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.05}
PIXELS = {"fp32": 0.002, "bf16": 0.03, "fp16": 0.03}
"""By how much a score, a logit in units of the largest, and in which share of its pixels a mask, may be rounded."""


@dataclass(frozen=True)
class Answer:
    """The answers to N prompts.

    Attributes:
        scores: (N, M).
        masks: (N, M, H, W) bool.
        logits: (N, M, 256, 256), None from a model that gives none.
    """

    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]
    logits: NDArray[np.float32] | None

    def __getitem__(self, rows: slice | list[int]) -> Answer:
        """Return the answers to some of the prompts."""
        return Answer(self.scores[rows], self.masks[rows], None if self.logits is None else self.logits[rows])

    def features(self) -> NDArray[np.float64]:
        """Return (N, F): scores with logits, or with masks where there are none."""
        content = self.masks if self.logits is None else self.logits
        scores = np.nan_to_num(self.scores)
        return np.concatenate([scores, content.reshape(len(content), -1)], axis=1).astype(np.float64)


def read(candidates: Candidates) -> Answer:
    """Return all that candidates hold."""
    count, columns = candidates.scores.shape
    masks = candidates.masks(np.tile(np.arange(columns), count), np.repeat(np.arange(count), columns))
    try:
        logits = np.stack([candidates.chosen_logits(np.full(count, own)) for own in range(columns)], axis=1)
    except InputError:
        logits = None
    return Answer(candidates.scores.copy(), masks.reshape(count, columns, *masks.shape[1:]), logits)


def ask(adapter: Adapter, embedding: Embedding, prompts: Prompts) -> Answer:
    """Decode prompts and return all of the answer."""
    return read(adapter.decode(embedding, prompts))


def difference(first: Answer, second: Answer, dtype: str) -> str | None:
    """Return in words how two answers differ beyond rounding, None if they don't."""
    if first.masks.shape != second.masks.shape:
        return f"masks of shape {first.masks.shape} and {second.masks.shape}"
    by = np.abs(np.nan_to_num(first.scores) - np.nan_to_num(second.scores))
    if by.size and by.max() > SCORES[dtype]:
        return f"scores differ by {by.max():.3g}"
    if first.logits is not None and second.logits is not None and first.logits.size:
        by = np.abs(first.logits - second.logits)
        if by.max() > SCORES[dtype] * max(1.0, float(np.abs(first.logits).max())):
            return f"logits differ by {by.max():.3g}"
    share = (first.masks != second.masks).mean(axis=(-2, -1))
    if share.size and share.max() > PIXELS[dtype]:
        return f"masks differ in {share.max():.1%} of their pixels"
    return None
