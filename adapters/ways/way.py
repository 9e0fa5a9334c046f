"""What all ways to segment everything have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.errors import InputError
from adapters.everything import AMG, EverythingSettings, Proposals
from adapters.stages import stage, unheard


@dataclass(frozen=True)
class Way(ABC):
    """A way to segment everything: which prompts are made, and what becomes of the answers.

    Attributes:
        settings: filters, the size of the grid, what of a detector's finds is taken.
    """

    settings: EverythingSettings = AMG

    def __call__(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding | None = None) -> Proposals:
        """Segment everything in an image.

        Args:
            adapter: the model.
            image: (H, W, 3) uint8 RGB.
            embedding: the image encoded by the model, if it is at hand. All else is one stage, "everything".

        Raises:
            InputError: where the model can't be asked this way.
        """
        why = self.obstacle(adapter.card)
        if why is not None:
            raise InputError(f"{adapter.card.name}: everything can't be asked for this way: {why}")
        embedding = adapter.encode(image) if embedding is None else embedding
        with stage("everything", 0, adapter.wait), unheard():
            return self._propose(adapter, image, embedding)

    @abstractmethod
    def obstacle(self, card: ModelCard) -> str | None:
        """Return why a model can't be asked this way, None if it can."""

    @abstractmethod
    def _propose(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding) -> Proposals: ...


def points_obstacle(card: ModelCard) -> str | None:
    """Return why a model can't be asked by points whose masks are filtered, None if it can."""
    if "point" not in card.prompts:
        return "it takes no points"
    if card.score == "confidence":
        return "it detects, and has no grid of points"
    return None if card.everything else "it has no everything mode"
