"""An adapter on trial, and how a check says what it found."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.prompts import Prompts
from adapters.stages import listening
from bench.check_adapter.answer import Answer, ask
from bench.check_adapter.modules import Modules
from bench.check_adapter.scene import Scene, draw

LANDSCAPE, PORTRAIT = (96, 128), (131, 90)


class WrongError(Exception):
    """What is wrong with the adapter, in a line."""


class NotShownError(Exception):
    """Why a check can't tell."""


class Trial:
    """What the checks share, so that nothing is computed twice.

    Args:
        card: what the adapter claims.
        load: makes a new adapter of the model, always with the same weights.

    Attributes:
        scene, other: one that lies, and one that stands, of an odd height.
        stages: which stages encoding has marked.
    """

    def __init__(self, card: ModelCard, load: Callable[[], Adapter]) -> None:
        self.card, self.load = card, load
        self.scene: Scene = draw(*LANDSCAPE)
        self.other: Scene = draw(*PORTRAIT)
        self.stages: set[str] = set()

    @cached_property
    def modules(self) -> Modules:
        """The torch modules that loading the adapter made."""
        return Modules(self.load)

    @cached_property
    def adapter(self) -> Adapter:
        """The adapter."""
        return self.modules.adapter

    @cached_property
    def embedding(self) -> Embedding:
        """The encoded landscape scene."""
        return self.encode(self.scene)

    @cached_property
    def other_embedding(self) -> Embedding:
        """The encoded portrait."""
        return self.encode(self.other)

    def encode(self, scene: Scene) -> Embedding:
        """Encode a scene.

        Raises:
            WrongError: where the adapter writes to the image.
        """
        pixels = scene.pixels.copy()
        with listening(lambda stage, prompts, seconds: self.stages.add(stage)):
            embedding = self.adapter.encode(pixels)
        if not np.array_equal(pixels, scene.pixels):
            raise WrongError("encode writes to the image it is given")
        return embedding

    @cached_property
    def prompts(self) -> dict[str, Prompts]:
        """Three prompts of each declared kind on the landscape scene."""
        return self.scene.prompts(self.card)

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The answers to them."""
        return {kind: ask(self.adapter, self.embedding, prompts) for kind, prompts in self.prompts.items()}
