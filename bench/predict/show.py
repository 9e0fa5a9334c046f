"""The table of answers on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

NOTHING = "-"
STAGES = ("encode", "decode", "everything", "ground")
SHOWN = 20
"""So many detections have a row of their own."""


def table(models: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each mask of each model that answered, from their records."""
    shown = Table("model", "weights", "mask", "predicted IoU", "stability", "area px²", "encode ms\nfirst, second call",
                  "decode ms\nfirst, second call", "everything ms\nfirst call", "words ms\nfirst call")  # fmt: skip
    for model in models:
        if "weights" not in model:
            continue
        seconds = [_milliseconds(model["seconds"].get(stage, [])) for stage in STAGES]
        who = [model["model"], model["weights"][:12]]
        for cells in _masks(model):
            shown.add_row(*who, *cells, *seconds)
            who, seconds = ["", ""], ["", "", ""]
        shown.add_section()
    return shown


def footnotes(record: dict[str, Any]) -> Iterator[str]:
    """Yield what was refused, and what the numbers belong to."""
    for model in record["models"]:
        yield from (f"not done: {why}" for why in model["refused"])
        if model.get("weights") == "random":
            yield f"{model['model']}: RANDOM WEIGHTS; its masks mean nothing"
        elif not model.get("official", True):
            yield f"{model['model']}: weights {model['weights'][:12]} aren't proven to be the official ones"
    if record["way"]:
        boxes = f", boxes: {record['way']['boxes']}" if "boxes" in record["way"] else ""
        yield f"everything: by {record['way']['protocol']}{boxes}"
    image = record["image"]
    yield f"image: {image['file_name']}, {image['width']}x{image['height']}, sha256 {image['sha256'][:12]}"
    yield f"conditions: {record['conditions']['summary']}; one sample each, for real durations: sambench latency"


def _masks(model: dict[str, Any]) -> Iterator[list[str]]:
    for mask in model["masks"]:
        score, stability = _score(mask["score"], model["score_is"]), _fraction(mask["stability"])
        yield [mask["mask"], score, stability, str(mask["area"])]
    if model["proposals"] is not None:
        yield [f"everything: {model['proposals']} masks", NOTHING, NOTHING, NOTHING]
    if model["found"] is not None:
        yield from _found(model["found"])


def _found(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for each of what words found, best first."""
    yield [f"words: {len(found)} found", NOTHING, NOTHING, NOTHING]
    for one in found[:SHOWN]:
        area = NOTHING if one["area"] is None else str(one["area"])
        yield [escape(one["phrase"]), f"confidence {one['score']:.3f}", NOTHING, area]


def _score(value: float | None, kind: str) -> str:
    return f"confidence {value:.3f}" if value is not None and kind == "confidence" else _fraction(value)


def _fraction(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _milliseconds(seconds: Sequence[float]) -> str:
    return ", ".join(f"{1000 * value:.1f}" for value in seconds) or NOTHING
