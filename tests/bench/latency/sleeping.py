"""A model that sleeps: its cost is known.

"sleeping" is honest; "remembering" is fast on an image that it has just seen; "fickle" gives other masks once it has
been asked often; "dying" kills its process when it decodes eight boxes, "raising" raises an error there.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from adapters.adapter import Adapter, Candidates, Embedding
from adapters.cards import ModelCard
from adapters.everything import Proposals
from adapters.stages import stage

SECONDS = {"preprocess": 0.001, "encode": 0.1, "decode": 0.01, "postprocess": 0.001, "everything": 0.01}
FAMILY, MASKS = "sleeping", 3
NAMES = ("sleeping", "remembering", "fickle", "dying", "raising")


@dataclass
class SleepingEmbedding(Embedding):
    """The mean of an image's pixels."""

    mean: float


class Sleeping(Adapter):
    """Sleeps in every stage, and notes by its own clock how long."""

    def __init__(self, card: ModelCard, weights) -> None:
        self.card, self.weights = card, weights
        self.slept: dict[str, list[float]] = defaultdict(list)
        self.encoded, self.seen = 0, None

    def sleep(self, name: str, seconds: float | None = None) -> None:
        start = time.perf_counter()
        time.sleep(SECONDS[name] if seconds is None else seconds)
        self.slept[name].append(time.perf_counter() - start)

    def _encode(self, image):
        with stage("preprocess", wait=self.wait):
            self.sleep("preprocess")
        self.encoded += 1
        with stage("encode", wait=self.wait):
            known = self.card.name == "remembering" and self.seen == image.tobytes()
            self.sleep("encode", 0.0 if known else None)
            self.seen = image.tobytes()
        return SleepingEmbedding(image.shape[:2], float(image.mean()))

    def _decode(self, embedding, prompts):
        if len(prompts) == 8 and self.card.name == "dying":
            os.kill(os.getpid(), signal.SIGKILL)
        if len(prompts) == 8 and self.card.name == "raising":
            raise RuntimeError("out of memory\nand of patience")
        self.sleep("decode")
        wrong = self.card.name == "fickle" and self.encoded > 3
        return SleepingCandidates(self, embedding, prompts, wrong)

    def _everything(self, embedding, settings):
        self.sleep("everything")
        nothing = np.zeros(0, np.float32)
        return Proposals([], np.zeros((0, 4), np.float32), nothing, nothing, nothing, np.zeros((0, 2)))


class SleepingCandidates(Candidates):
    """Squares around the prompts, or their opposites."""

    def __init__(self, adapter: Sleeping, embedding: SleepingEmbedding, prompts, wrong: bool) -> None:
        self.adapter, self.embedding, self.prompts, self.wrong = adapter, embedding, prompts, wrong
        self.scores = np.tile(np.arange(MASKS, dtype=np.float32), (len(prompts), 1))

    def _masks(self, rows, columns):
        self.adapter.sleep("postprocess")
        masks = np.zeros((len(rows), *self.embedding.image_size), dtype=bool)
        for mask, row in zip(masks, rows, strict=True):
            x, y = self.prompts.points[row, 0].astype(int)
            mask[max(0, y - 9) : y + 9, max(0, x - 9) : x + 9] = True
        return ~masks if self.wrong else masks


def build(card, weights, device, dtype):
    """Build the adapter, as a family's module does."""
    return Sleeping(card, weights)


def card(name: str) -> ModelCard:
    """Return the card of one of NAMES."""
    return ModelCard(
        name=name,
        title=name,
        family=FAMILY,
        source="none",
        licence="none",
        parameters=7,
        preprocessing="none",
        prompts=frozenset({"box", "point"}),
        masks=MASKS,
        score="predicted_iou",
        everything=True,
    )
