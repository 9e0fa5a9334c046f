"""What a protocol is made of. Every knob is named and typed; a value that isn't listed here doesn't exist."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.errors import InputError, unknown


class _Knobs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Points(_Knobs):
    """Clicks.

    Attributes:
        first: where the first click goes. dt_center: the pixel of the mask farthest from its edge and the image's,
            by exact Euclidean distance, the first in row-major order of equals.
        next: where the next one goes. ritm: the same, in the larger of the missing and the superfluous region.
        counts: after how many clicks a number is taken.
    """

    first: Literal["dt_center"]
    next: Literal["ritm"]
    counts: tuple[int, ...] = Field(min_length=1)


class Masks(_Knobs):
    """Which of a model's masks is taken.

    Attributes:
        select: score: the highest of the multimask answer's scores.
        multi_click: always_multi: the multimask answer at every click.
        feedback: none: an earlier answer isn't given back to the model.
    """

    select: Literal["score"]
    multi_click: Literal["always_multi"]
    feedback: Literal["none"]


class Boxes(_Knobs):
    """Boxes.

    Attributes:
        source: annotation: the annotation's own box, not one derived from the mask.
    """

    source: Literal["annotation"]


class Annotations(_Knobs):
    """Which annotations count.

    Attributes:
        crowd: whether crowds are among them.
        min_area: the smallest area in px², by the annotation's own figure.
    """

    crowd: Literal["include", "exclude"]
    min_area: float = Field(ge=0)


class AveragePrecision(_Knobs):
    """Masks from a detector's boxes.

    Attributes:
        score: detector: a mask is ranked by its box's score.
        refine: how many times the answer is given back to refine it.
        max_boxes: how many of an image's boxes are taken, best first; all, if not given. COCO's evaluation itself takes
            the best 100 of an image and category, LVIS's the best 300 of an image.
        detection_area: mask: a detection's size class comes from its mask.
    """

    score: Literal["detector"]
    refine: Literal[0]
    max_boxes: int | None = Field(default=None, ge=1)
    detection_area: Literal["mask"]


class Everything(_Knobs):
    """Everything mode.

    Attributes:
        settings: amg: the automatic mask generator's defaults; proposals: no filters, NMS 0.9.
        rank: mean: by the mean of predicted IoU and stability score, a detector's by confidence.
    """

    settings: Literal["amg", "proposals"]
    rank: Literal["mean"]


class Protocol(_Knobs):
    """A named set of rules.

    Attributes:
        name, version: a change of any knob is a new version.
        source: whose rules they are, and where they were read.
        average: instance: every annotation weighs the same.
    """

    name: str
    version: int = Field(ge=1)
    source: str
    average: Literal["instance"]
    points: Points
    masks: Masks
    boxes: Boxes
    annotations: Annotations
    average_precision: AveragePrecision
    everything: Everything

    @property
    def digest(self) -> str:
        """The sha256 of all knobs."""
        knobs = self.model_dump(mode="json", exclude={"name", "version", "source"})
        return sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()


@cache
def _files() -> dict[str, Any]:
    folder = resources.files("bench.protocols")
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}


def protocol_names() -> list[str]:
    """Return the names of all protocols."""
    return sorted(_files())


def protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    if name not in _files():
        raise unknown("protocol", name, _files())
    try:
        return Protocol(name=name, **tomllib.loads(_files()[name].read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{name}.toml: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
