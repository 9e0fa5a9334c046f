"""What a model can do of what a protocol asks, and what is done instead where it can't."""

from __future__ import annotations

from adapters.cards import ModelCard
from bench.protocols import Protocol
from bench.protocols.tasks import (
    BOX,
    BOX_CLICK,
    CLICK,
    DETECTOR_BOX,
    EVERYTHING,
    NOC,
    PAIR,
    WORDS,
    group_of,
    needs_negatives,
    number_of,
)


def obstacle(card: ModelCard, protocol: Protocol, task: str) -> str | None:
    """Return why a model can't do a task under a protocol, None if it can."""
    kind = group_of(task)
    if kind == EVERYTHING:
        return _everything_obstacle(card, protocol)
    if kind == WORDS:
        return _words_obstacle(card)
    if kind in (BOX, DETECTOR_BOX):
        return _box_obstacle(card, protocol, kind)
    if kind == BOX_CLICK and "box_point" not in card.prompts:
        return "it takes no box and clicks at once"
    if "point" not in card.prompts:
        return "it takes no points"
    if kind == PAIR:
        return None if "negative" in card.prompts else "it takes no negative clicks"
    assert protocol.points is not None
    most = protocol.noc.most if kind == NOC and protocol.noc is not None else number_of(task)
    if needs_negatives(protocol, task) and "negative" not in card.prompts and not _replaces(protocol):
        return "it takes no negative clicks, which points.next makes"
    if card.max_points is not None and most + 2 * (kind == BOX_CLICK) > card.max_points:
        return f"it takes {card.max_points} points at most"
    return _selection_obstacle(card, protocol.masks.select, "masks.select")


def replacements(card: ModelCard, protocol: Protocol, task: str) -> list[str]:
    """Return which knobs' values are replaced, because the model can't do what they say: "key=value instead"."""
    found = []
    kind = group_of(task)
    if protocol.resize != "native" and protocol.resize not in card.resizes:
        found.append("resize=native")
    if kind in (CLICK, BOX_CLICK, NOC) and needs_negatives(protocol, task) and "negative" not in card.prompts:
        found.append("points.next=random")
    if kind in (CLICK, BOX_CLICK, NOC) and protocol.masks.feedback != "none" and "mask" not in card.prompts:
        found.append("masks.feedback=none")
    refine = protocol.average_precision.refine if protocol.average_precision is not None else 0
    if kind == DETECTOR_BOX and refine and "mask" not in card.prompts:
        found.append("average_precision.refine=0")
    return found


def _replaces(protocol: Protocol) -> bool:
    return protocol.points is not None and protocol.points.without_negatives == "random"


def _everything_obstacle(card: ModelCard, protocol: Protocol) -> str | None:
    from bench.ways import way

    assert protocol.everything is not None
    return way(protocol.everything).obstacle(card)


def _words_obstacle(card: ModelCard) -> str | None:
    if "text" not in card.prompts:
        return "it takes no words"
    return None if card.masks else "it finds boxes, and no masks"


def _box_obstacle(card: ModelCard, protocol: Protocol, kind: str) -> str | None:
    if "box" not in card.prompts:
        return "it takes no boxes"
    if kind == BOX:
        return _selection_obstacle(card, protocol.masks.select, "masks.select")
    assert protocol.average_precision is not None
    if protocol.average_precision.score != "detector" and card.score != "predicted_iou":
        return f"average_precision.score: {protocol.average_precision.score} needs a predicted IoU, which it hasn't"
    return _selection_obstacle(card, protocol.average_precision.select, "average_precision.select")


def _selection_obstacle(card: ModelCard, how: str, key: str) -> str | None:
    if how == "stability" and card.masks > 1 and card.score != "predicted_iou":
        return f"{key}: stability needs logits, which it doesn't give"
    return None
