"""A protocol: by which rules prompts are made, masks chosen, and numbers averaged."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bench.protocols.knobs import (
    Annotations,
    AveragePrecision,
    Boxes,
    Everything,
    Knobs,
    Masks,
    Noc,
    Pairs,
    Points,
    Words,
)

NAMING = {"name", "version", "source", "note", "as_published"}
"""What a protocol is called, rather than what it does."""


class Protocol(Knobs):
    """A named set of rules. A section that isn't there is a task that the protocol doesn't have.

    Attributes:
        name, version: a change of any knob is a new version.
        source: whose rules they are, and where they were read.
        note: what somebody who uses it should know.
        as_published: whether it imitates a mistake of its source; the note then says which.
        seed: of everything random. It is joined to the annotation's number, so that neither order nor sharding matters.
        average: instance: every annotation weighs the same. image: every image. category: every category.
        resize: native: the model's own preprocessing. torch_antialias: for models that bring the long side to 1024, by
            torch's antialiased bilinear filter instead of Pillow's.
        boundary: whether boundary IoU is measured too.
    """

    name: str = Field(pattern=r"^[\w.+-]{1,80}$")
    version: PositiveInt
    source: str
    note: str = ""
    as_published: bool = False
    seed: NonNegativeInt = 0
    average: Literal["instance", "image", "category"]
    resize: Literal["native", "torch_antialias"] = "native"
    boundary: bool = False
    annotations: Annotations
    masks: Masks
    boxes: Boxes | None = None
    points: Points | None = None
    noc: Noc | None = None
    pairs: Pairs | None = None
    average_precision: AveragePrecision | None = None
    everything: Everything | None = None
    words: Words | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.noc is not None and self.points is None:
            raise ValueError("noc needs the section points, which says how clicks are made")
        if self.boxes is not None and self.boxes.then_clicks and self.points is None:
            raise ValueError("boxes.then_clicks needs the section points, which says how clicks are made")
        if self.masks.select == "box_iou" and (self.points is not None or self.pairs is not None):
            raise ValueError("masks.select: box_iou is no choice for clicks, which have no box")
        no_truth = "oracle needs true masks, which there are none of"
        if self.average_precision is not None and self.average_precision.select == "oracle":
            raise ValueError(f"average_precision.select: {no_truth}")
        if self.pairs is not None and self.masks.select == "oracle":
            raise ValueError(f"masks.select: {no_truth} for pairs")
        if not self._has_a_task():
            raise ValueError("a section is needed that makes a task: boxes, points, noc, pairs, ...")
        if self.as_published and not self.note:
            raise ValueError("as_published: the note must say which mistake is imitated")
        return self

    def _has_a_task(self) -> bool:
        sections = (self.boxes, self.noc, self.pairs, self.average_precision, self.everything, self.words)
        return any(section is not None for section in sections) or bool(self.points and self.points.counts)

    @property
    def digest(self) -> str:
        """The sha256 of all knobs; those that protocols didn't always have count where they are used."""
        later = {"words"} if self.words is None else set()
        knobs = self.model_dump(mode="json", exclude=NAMING | later)
        if self.everything is not None:
            knobs["everything"] = self.everything.hashed()
        return sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()

    @property
    def identity(self) -> str:
        """Name, version and digest, as they stand in every row of results."""
        return f"{self.name}/{self.version}/{self.digest[:12]}"
