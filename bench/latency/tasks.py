"""What is done in one timed call of each stage, and what is made ready for it outside the timing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.errors import InputError
from adapters.everything import EverythingSettings
from adapters.prompts import Prompts
from bench.latency import stages
from bench.latency.inputs import Inputs
from bench.latency.stages import Stage

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """A call that gives samples of one stage or of several.

    Attributes:
        marks: stage -> which of the adapter's own marks (adapters.stages) it is; None for the whole call.
        prepare: (call number) -> what the call is given; not timed.
        call: what is timed.
        masks: (result) -> the masks in it, for stages that give some.
        rotation: calls get the same inputs again after so many.
        keep: (call number, result), called after each call, outside the timing.
    """

    marks: dict[Stage, str | None]
    prepare: Callable[[int], Any]
    call: Callable[[Any], Any]
    masks: Callable[[Any], Masks] | None = None
    rotation: int = 1
    keep: Callable[[int, Any], None] | None = None


class Bench:
    """An adapter with its inputs, and what of them is kept for later stages.

    Args:
        adapter: the model.
        inputs: images and prompts.
        pool: so many images are kept encoded; the stages after the encoder go through them in turn.
    """

    def __init__(self, adapter: Adapter, inputs: Inputs, pool: int) -> None:
        self.adapter, self.inputs = adapter, inputs
        self.pool = min(pool, len(inputs))
        self._embeddings: dict[int, Embedding] = {}
        self._candidates: dict[int, Candidates] = {}

    def keep(self, number: int, embedding: Embedding) -> None:
        """Keep what a timed call has encoded, untouched by any decoder."""
        if number % len(self.inputs) < self.pool:
            self._embeddings[number % len(self.inputs)] = copy(embedding)

    def embedding(self, number: int) -> Embedding:
        """Return an encoded image that nothing has been decoded from.

        A decoder may keep with an embedding what it computes once for an image; each call gets a copy without that.
        """
        index = number % self.pool
        if index not in self._embeddings:
            self._embeddings[index] = copy(self.adapter.encode(self.inputs.image(index)))
        return copy(self._embeddings[index])

    def candidates(self, number: int) -> Candidates:
        """Return the answer to one point on an encoded image."""
        index = number % self.pool
        if index not in self._candidates:
            self._candidates[index] = self.adapter.decode(self.embedding(index), self.inputs.points(index, 1))
        return self._candidates[index]

    def segment(self, number: int) -> Masks:
        """Return the mask, at the image's size, of one point on an image: a call from end to end."""
        embedding = self.adapter.encode(self.inputs.image(number))
        return self.adapter.decode(embedding, self.inputs.points(number, 1)).masks("best")


def together(asked: Sequence[Stage]) -> list[tuple[Stage, ...]]:
    """Return the stages grouped by the call that gives their samples, in order."""
    imaging = tuple(stage for stage in asked if stage.name in (stages.PREPROCESS, stages.ENCODE))
    others = [(stage,) for stage in asked if stage not in imaging]
    return [imaging, *others] if imaging else list(others)


def task(bench: Bench, group: Sequence[Stage]) -> Task:
    """Return the call that gives samples of a group of stages.

    Raises:
        InputError: where the adapter can't do it.
    """
    stage = group[0]
    if stage.name in (stages.PREPROCESS, stages.ENCODE):
        return _imaging(bench, group)
    if stage.name.startswith("decode"):
        return _decoding(bench, stage)
    if stage.name.startswith("encode_batch"):
        return _batching(bench, stage)
    if stage.name.startswith("everything"):
        return _everything(bench, stage)
    if stage.name == stages.TO_SIZE:
        return Task({stage: "postprocess"}, bench.candidates, _best_masks, masks=_same, rotation=bench.pool)
    if stage.name == stages.TO_RLE:
        return _to_rle(bench, stage)
    return Task({stage: None}, lambda number: number, bench.segment, masks=_same, rotation=len(bench.inputs))


def _imaging(bench: Bench, asked: Sequence[Stage]) -> Task:
    """Preprocessing and encoding are one call, marked by the adapter."""
    marks: dict[Stage, str | None] = {stage: stage.name for stage in asked}
    return Task(marks, bench.inputs.image, bench.adapter.encode, keep=bench.keep)


def _decoding(bench: Bench, stage: Stage) -> Task:
    draw: Callable[[int, int], Prompts] = bench.inputs.boxes if "box" in stage.name else bench.inputs.points

    def prepare(number: int) -> tuple[Embedding, Prompts]:
        return bench.embedding(number), draw(number % bench.pool, stage.n_prompts)

    return Task({stage: "decode"}, prepare, lambda given: bench.adapter.decode(*given))


def _everything(bench: Bench, stage: Stage) -> Task:
    settings = EverythingSettings(points_per_side=int(stage.name.rpartition("_")[2]))
    return Task({stage: "everything"}, bench.embedding, lambda given: bench.adapter.everything(given, settings))


def _to_rle(bench: Bench, stage: Stage) -> Task:
    import torch

    from adapters.rle import encode_masks

    def prepare(number: int) -> torch.Tensor:
        return torch.from_numpy(bench.candidates(number).masks("best").view(np.uint8))

    return Task({stage: None}, prepare, encode_masks)


def _batching(bench: Bench, stage: Stage) -> Task:
    """The encoder alone, on several images at once."""
    import torch

    from adapters.sam_like.adapter import SamLike

    adapter = bench.adapter
    if not isinstance(adapter, SamLike):
        raise InputError(f"{adapter.card.name}: its encoder takes one image at a time here")

    def prepare(number: int) -> torch.Tensor:
        images = (bench.inputs.image(number * stage.batch + offset) for offset in range(stage.batch))
        return torch.cat([adapter.frame.prepare(image) for image in images]).to(adapter.device)

    def call(pixels: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        with adapter.computing():
            return adapter.encoder(pixels)

    return Task({stage: None}, prepare, call)


def _best_masks(found: Candidates) -> Masks:
    return found.masks("best")


def _same(masks: Masks) -> Masks:
    return masks
