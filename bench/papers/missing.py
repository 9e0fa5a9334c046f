"""What a cell lacks to be measured, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.papers.catalogue import other_models
from bench.papers.cells import Cell


@dataclass(frozen=True)
class Missing:
    """Why a cell can't be measured.

    Attributes:
        kind, thing: what there is none of.
        reason: in a few words.
        mend: how to get it, in a line; empty where nothing helps.
    """

    kind: Literal["measure", "model", "protocol", "data", "boxes", "checkpoint"]
    thing: str
    reason: str
    mend: str = ""


@dataclass(frozen=True)
class AtHand:
    """What there is to measure with.

    Attributes:
        has_weights: whether a model's weights are here.
        data: kind and name of the dataset; None: whatever a cell needs.
        boxes: whether there is a file of a detector's boxes.
    """

    has_weights: Callable[[str], bool]
    data: tuple[str, str] | None = None
    boxes: bool = True


def missing(cell: Cell, at_hand: AtHand) -> Missing | None:
    """Return what a cell lacks, None if it can be measured."""
    return _unknown(cell) or (None if cell.rule.measure == "cost" else _lacking(cell, at_hand))


def _unknown(cell: Cell) -> Missing | None:
    """Return what the suite itself lacks."""
    from adapters import names
    from bench.protocols import protocol_names

    if cell.model is None or cell.model not in names():
        why = other_models().get(cell.published.model, "not in this suite yet")
        return Missing("model", cell.published.model, why)
    if cell.rule.measure == "none":
        return Missing("measure", cell.published.metric, cell.rule.why)
    if cell.preset not in protocol_names():
        return Missing("protocol", cell.preset, f"no preset {cell.preset} in this suite yet")
    return None


def _lacking(cell: Cell, at_hand: AtHand) -> Missing | None:
    if cell.data.kind == "none" or (at_hand.data is not None and not cell.data.is_like(*at_hand.data)):
        return Missing("data", cell.data.title, f"needs {cell.data.title}", f"{cell.data.title}: {cell.data.get}")
    if cell.detector is not None and not at_hand.boxes:
        title = cell.detector.title
        return Missing("boxes", title, f"needs {title}'s boxes", f"{title}'s: --detections FILE ({cell.detector.get})")
    for model in models_for(cell):
        if not at_hand.has_weights(model):
            return Missing("checkpoint", model, f"no checkpoint of {model}", f"sambench weights fetch {model}")
    return None


def models_for(cell: Cell) -> list[str]:
    """Return the models that a cell takes: its own, and the one whose masks are taken for true."""
    from bench.protocols import protocol

    assert cell.model is not None
    pairs = protocol(cell.preset).pairs
    return [cell.model] if pairs is None else [cell.model, pairs.reference]


def is_cached(model: str) -> bool:
    """Return whether a model's official checkpoint lies in the cache, or it needs none."""
    from adapters import card
    from adapters.checkpoints import cached_path

    path = cached_path(card(model))
    return path is None or path.exists()
