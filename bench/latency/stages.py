"""The stages that are timed: their names, and which of them a model has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.cards import ModelCard
from adapters.errors import InputError, unknown

LOAD, PREPROCESS, ENCODE, END_TO_END = "load", "preprocess", "encode", "end_to_end"
POINT, BOX, BOXES_8, BOXES_64 = "decode_point1", "decode_box1", "decode_box8", "decode_box64"
TO_SIZE, TO_RLE = "postprocess_size", "postprocess_rle"
GRID_16, GRID_32 = "everything_16", "everything_32"

STAGES = (LOAD, PREPROCESS, ENCODE, POINT, BOX, BOXES_8, BOXES_64, TO_SIZE, TO_RLE, GRID_16, GRID_32, END_TO_END)
"""In the order in which they are measured."""

ADDENDS = (PREPROCESS, ENCODE, POINT, TO_SIZE)
"""What end to end is made of."""

_PROMPTS = {POINT: 1, BOX: 1, BOXES_8: 8, BOXES_64: 64, TO_SIZE: 1, TO_RLE: 1, END_TO_END: 1}
_NUMBERED = re.compile(r"(encode_batch|decode_points)([1-9]\d*)")


@dataclass(frozen=True)
class Stage:
    """A stage with its size.

    Attributes:
        name: one of STAGES, encode_batch{N} or decode_points{N}.
        n_prompts: answered in one call; 0 where there are none.
        batch: images in one call.
    """

    name: str
    n_prompts: int = 0
    batch: int = 1


def stage(name: str) -> Stage:
    """Return the stage of a name.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered:
        kind, count = numbered[1], int(numbered[2])
        return Stage(name, batch=count) if kind == "encode_batch" else Stage(name, n_prompts=count)
    if name not in STAGES:
        raise unknown("stage", name, (*STAGES, "encode_batch4", "decode_points10"))
    return Stage(name, _PROMPTS.get(name, 0))


def stages(names: Sequence[str], batches: Sequence[int] = (), prompts: Sequence[int] = ()) -> tuple[Stage, ...]:
    """Return the stages asked for, each once, in the order in which they are measured.

    Args:
        names: of stages; ("all",) means STAGES.
        batches: numbers of images that the encoder takes at once.
        prompts: numbers of points that are decoded at once.

    Raises:
        InputError: for an unknown name or a number below 1.
    """
    if any(number < 1 for number in (*batches, *prompts)):
        raise InputError("--batches and --prompts: numbers of at least 1 needed")
    asked = list(STAGES) if list(names) == ["all"] else list(names)
    asked += [f"encode_batch{number}" for number in batches] + [f"decode_points{number}" for number in prompts]
    if not asked:
        raise InputError("--stages names no stage")
    return tuple(sorted((stage(name) for name in dict.fromkeys(asked)), key=_place))


def obstacle(card: ModelCard, asked: Stage) -> str | None:
    """Return why a model has no such stage, None if it has."""
    if asked.name.startswith("everything"):
        if not card.everything:
            return f"{card.name} has no everything mode"
        if asked.name == GRID_16 and card.score == "confidence":
            return f"{card.name} detects: a grid of points means nothing to it, see {GRID_32}"
    if asked.name in (BOX, BOXES_8, BOXES_64) and "box" not in card.prompts:
        return f"{card.name} takes no boxes"
    if (asked.name in (POINT, END_TO_END, TO_SIZE, TO_RLE) or asked.name.startswith("decode_points")) and (
        "point" not in card.prompts
    ):
        return f"{card.name} takes no points"
    if asked.name == ENCODE and card.parameters == 0:
        return f"{card.name} has no encoder"
    return None


def _place(asked: Stage) -> tuple[int, int]:
    if asked.name in STAGES:
        return STAGES.index(asked.name), 0
    return len(STAGES), asked.batch + asked.n_prompts
