"""All models' answers to a request, and the files that show them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import adapters
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from bench.conditions import Conditions
from bench.predict.ask import Answer, Mask, ask
from bench.predict.draw import draw_everything, draw_found, draw_masks, draw_sheet
from bench.predict.everything import How
from bench.predict.label import label_image
from bench.predict.picture import Picture
from bench.predict.record import coco_results, image_record, model_record
from bench.predict.request import Request

SCHEMA = 1


@dataclass(frozen=True)
class Asked:
    """A model, what it takes of the request, and what it doesn't, in words."""

    card: ModelCard
    takes: Request
    refused: list[str]


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Attributes:
        picture: what was asked about.
        record: predict.json: image, prompt, by whose rules and boxes everything was asked for, conditions, and for each
            model weights, scores, seconds and refusals.
        answers: of the models that answered, by name.
    """

    picture: Picture
    record: dict[str, Any]
    answers: dict[str, Answer]


def ask_all(
    picture: Picture,
    request: Request,
    asked: Sequence[Asked],
    weights: Mapping[str, Weights],
    conditions: Conditions,
    how: How | None = None,
) -> Outcome:
    """Ask one model after the other; those that take nothing of the request are only noted.

    Raises:
        InputError: where a model can't be loaded.
    """
    answers = {}
    how = how or How()
    way = how.ready(picture, weights, conditions)
    for one in asked:
        if one.takes:
            name = one.card.name
            adapter = adapters.load(name, weights[name], conditions.device, conditions.dtype)
            answers[name] = ask(adapter, picture.pixels, one.takes, way)
            del adapter  # before the next one is loaded
    models = [
        model_record(one.card, weights.get(one.card.name), answers.get(one.card.name), one.refused) for one in asked
    ]
    where = {"way": how.told(weights), "conditions": conditions.model_dump(mode="json"), "models": models}
    return Outcome(picture, {"schema_version": SCHEMA, **image_record(picture, request), **where}, answers)


def files(outcome: Outcome, request: Request) -> dict[str, bytes]:
    """Return all files but the record, by name: overlays, the sheet of them, masks, COCO results."""
    written: dict[str, bytes] = {}
    panels: list[tuple[str, NDArray[np.uint8]]] = []
    pixels = outcome.picture.pixels
    for name, answer in outcome.answers.items():
        written[f"{name}.json"] = json.dumps(coco_results(answer)).encode()
        if answer.masks and request.prompts is not None:
            written |= {f"{name}-{mask.kind}.png": _png(mask.pixels.astype(np.uint8) * 255) for mask in answer.masks}
            overlay = draw_masks(pixels, answer.masks, request.prompts)
            written[f"{name}-overlay.png"] = _png(overlay)
            panels.append((_title(name, answer.masks), overlay))
        if answer.proposals is not None:
            written[f"{name}-everything.png"] = _png(label_image(answer.proposals, outcome.picture.size))
            overlay = draw_everything(pixels, answer.proposals)
            written[f"{name}-everything-overlay.png"] = _png(overlay)
            panels.append((f"{name}: {len(answer.proposals)} masks", overlay))
        if answer.found is not None and answer.words is not None:
            overlay = draw_found(pixels, answer.found, answer.words)
            written[f"{name}-words-overlay.png"] = _png(overlay)
            panels.append((f"{name}: {len(answer.found)} found", overlay))
    return {**written, "sheet.png": _png(draw_sheet(panels))}


def _title(name: str, masks: Sequence[Mask]) -> str:
    scores = [f"{mask.kind} {mask.score:.2f}" for mask in masks if mask.score is not None]
    return f"{name}: {', '.join(scores)}" if scores else name


def _png(pixels: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, format="png")
    return content.getvalue()
