"""One model's answer to a request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates
from adapters.errors import InputError
from adapters.everything import Proposals
from adapters.grounding import Grounded
from adapters.prompts import Words
from adapters.ways.grid import PointGrid
from adapters.ways.way import Way
from bench.predict.request import Request

BEST, SINGLE = "best", "single"
CALLS = 2
"""The first call of a model holds what happens once; the second is what the next image would take."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Mask:
    """One of a model's masks.

    Attributes:
        kind: "best": of highest score among those for an ambiguous prompt; "single": the one meant to stand alone.
        pixels: (H, W) bool.
        score: the model's own estimate; None where it makes none.
        stability: of its logits; None where there are none.
    """

    kind: str
    pixels: NDArray[np.bool_] = field(repr=False)
    score: float | None
    stability: float | None


@dataclass
class Answer:
    """What a model answered.

    Attributes:
        masks: of the prompt; none if there was no prompt.
        proposals: of everything mode, None if it wasn't asked.
        words, found: what was asked by words, and what they found; None if there weren't any.
        seconds: by stage, of the first call and, for encode and decode, of the second; encode includes preprocessing.
    """

    masks: list[Mask] = field(default_factory=list)
    proposals: Proposals | None = None
    words: Words | None = None
    found: Grounded | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)


def ask(adapter: Adapter, pixels: NDArray[np.uint8], request: Request, way: Way | None = None) -> Answer:
    """Ask a model, timing each stage.

    Args:
        adapter: the model.
        pixels: (H, W, 3) uint8 RGB.
        request: what the model takes.
        way: in which everything is asked for; the automatic mask generator's, if not given.
    """
    answer = Answer()
    for _ in range(CALLS if request.prompts is not None else 1):
        embedding = _timed(answer, "encode", adapter, lambda: adapter.encode(pixels))
        if request.prompts is not None:
            prompts = request.prompts
            candidates = _timed(answer, "decode", adapter, lambda: adapter.decode(embedding, prompts))  # noqa: B023
            answer.masks = masks_of(candidates)
    if request.everything:
        segment = way or PointGrid()
        answer.proposals = _timed(answer, "everything", adapter, lambda: segment(adapter, pixels, embedding))
    if request.words is not None:
        words = answer.words = request.words
        answer.found = _timed(answer, "ground", adapter, lambda: adapter.ground(embedding, words))
    return answer


def masks_of(candidates: Candidates) -> list[Mask]:
    """Return the best mask of the first prompt and, where it is another one, the single mask."""
    columns = {int(candidates.best()[0]): BEST}
    columns.setdefault(int(candidates.singles()[0]), SINGLE)
    stability = _stability(candidates)
    return [
        Mask(kind, candidates.masks(column)[0], _number(candidates.scores[0, column]), stability[column])
        for column, kind in columns.items()
    ]


def _timed(answer: Answer, stage: str, adapter: Adapter, call: Callable[[], Result]) -> Result:
    start = time.perf_counter()
    result = call()
    adapter.wait()
    answer.seconds.setdefault(stage, []).append(time.perf_counter() - start)
    return result


def _stability(candidates: Candidates) -> list[float | None]:
    try:
        return [_number(value) for value in candidates.stability()[0]]
    except InputError:
        return [None] * candidates.scores.shape[1]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
