"""What every model family looks like from outside: an image is encoded once, prompts are decoded against it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from adapters.cards import ModelCard
from adapters.errors import InputError
from adapters.everything import AMG, Boxes, EverythingSettings, Proposals
from adapters.grounding import Grounded, GroundSettings
from adapters.prompts import BACKGROUND, Prompts, Words
from adapters.stages import stage, unheard

if TYPE_CHECKING:
    from torch import Tensor

    from adapters.checkpoints import Weights
    from adapters.ways.found import Found, Watch

Choice = Literal["best", "single"] | int | NDArray[np.integer]
Resize = Literal["native", "torch_antialias"]


@dataclass
class Embedding:
    """An encoded image. Opaque: made by an adapter's encode, given back to the same adapter.

    Attributes:
        image_size: height and width of the original image, in pixels.
    """

    image_size: tuple[int, int]


class Candidates(ABC):
    """The answer to N prompts: M masks each, at low resolution until a mask is asked for.

    Attributes:
        scores: (N, M) float32, the model's own estimate of each mask's quality (predicted IoU; may exceed 1, it is a
            score, not a probability); NaN where a model makes none.
        single: the column of the mask meant to stand alone, where it is the same for all prompts; see :meth:`singles`.
        multimask: the columns among which a model that answers an ambiguous prompt with several masks lets one choose.
    """

    scores: NDArray[np.float32]
    single: int = 0
    multimask: slice = slice(0, None)

    def __len__(self) -> int:
        return len(self.scores)

    def best(self) -> NDArray[np.intp]:
        """Return (N,) columns: among the multimask columns the one of highest score, the first of equals."""
        among = np.arange(self.scores.shape[1])[self.multimask]
        if len(among) == 1:
            return np.full(len(self), among[0])
        return np.asarray(among[np.argmax(self.scores[:, among], axis=1)])

    def singles(self) -> NDArray[np.intp]:
        """Return (N,) columns: for each prompt the mask meant to stand alone."""
        return np.full(len(self), self.single)

    def stability(self) -> NDArray[np.float32]:
        """Return (N, M): the IoU of each low-resolution mask at logits above +1 and above -1, 0 where both are empty.

        Source: segment_anything/utils/amg.py (calculate_stability_score), on raw logits as EdgeSAM's deployment has it.

        Raises:
            InputError: from a model that gives no logits.
        """
        raise InputError("this model gives no logits, which the stability score needs")

    def chosen_logits(self, columns: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return (N, 256, 256) logits of one column for each prompt, to be given back as a prompt.

        Raises:
            InputError: from a model that gives no logits.
        """
        raise InputError("this model gives no logits")

    def restored(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Iterator[Tensor]:
        """Yield, in order and in chunks, (K, H, W) float32 logits at the image's own size of (row, column) pairs.

        Raises:
            InputError: from a model that gives no logits.
        """
        raise InputError("this model gives no logits at the image's size")

    def masks(self, choice: Choice = "best", rows: NDArray[np.integer] | None = None) -> NDArray[np.bool_]:
        """Return (N, H, W) masks at the image's own size, one for each prompt; nothing else is upsampled.

        Args:
            choice: "best", "single", one column for all prompts, or (N,) columns.
            rows: the prompts to answer, with ``choice`` then one column for each of them; all, if None.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        if rows.dtype == bool or (rows.size and not (rows.min() >= 0 and rows.max() < len(self))):
            raise InputError(f"rows: numbers from 0 to {len(self) - 1} needed")
        with stage("postprocess", len(rows), self.wait):
            return self._masks(rows, self._columns(choice, rows))

    def _columns(self, choice: Choice, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        if isinstance(choice, str):
            if choice not in ("best", "single"):
                raise InputError(f"mask choice {choice!r}: best, single or columns needed")
            return np.take(self.best() if choice == "best" else self.singles(), rows)
        columns = np.broadcast_to(np.asarray(choice, dtype=np.intp), (len(rows),)).copy()
        if columns.size and not (columns.min() >= 0 and columns.max() < self.scores.shape[1]):
            raise InputError(f"mask choice: columns 0 to {self.scores.shape[1] - 1} exist")
        return columns

    @abstractmethod
    def _masks(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return (K, H, W) masks of K (row, column) pairs."""

    def wait(self) -> None:  # noqa: B027
        """Return when the device has finished; at once on a CPU."""


class Adapter(ABC):
    """A model behind the prompt interface. Stateless: what it knows of an image is in the Embedding.

    Attributes:
        card: what the model is.
        weights: which weights it runs with.
        device: "cpu", "cuda", "cuda:1", ...; what the model does run on.
        dtype: "fp32", "bf16" or "fp16" (autocast).
        grounding: how it goes about words, unless it is asked otherwise.
    """

    card: ModelCard
    weights: Weights
    device: str = "cpu"
    dtype: str = "fp32"
    grounding: GroundSettings = GroundSettings()

    def resizing(self, resize: Resize) -> Adapter:
        """Return this model with another way of resizing images, sharing its parameters and its embeddings' format.

        Raises:
            InputError: where the card doesn't list it.
        """
        if resize == "native":
            return self
        if resize not in self.card.resizes:
            raise InputError(f"{self.card.name} can't resize by {resize}")
        return self._resizing(resize)

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Encode an (H, W, 3) uint8 RGB image, with the family's own preprocessing."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image: (H, W, 3) uint8 RGB needed, got {image.shape} {image.dtype}")
        return self._encode(image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        """Answer all prompts of the image, in the order given.

        Raises:
            InputError: for a prompt outside the image, or of a kind that the card says the model doesn't take.
        """
        prompts.check_inside(*embedding.image_size)
        check_takes(self.card, prompts)
        with stage("decode", len(prompts), self.wait):
            return self._decode(embedding, prompts)

    def everything(self, embedding: Embedding, settings: EverythingSettings = AMG) -> Proposals:
        """Segment everything in the image, without a prompt: by a grid of points, or by what a detector finds.

        Other ways, which any model goes that takes their prompts, are in adapters.ways.
        """
        if not self.card.everything:
            raise InputError(f"{self.card.name} has no everything mode")
        with stage("everything", 0, self.wait), unheard():
            return self._everything(embedding, settings)

    def found_at(
        self,
        embedding: Embedding,
        points: NDArray[np.float64],
        settings: EverythingSettings,
        watch: Watch | None = None,
    ) -> Found:
        """Return the masks of (P, 2) foreground points, each a prompt, that pass the filters, in the points' order.

        Args:
            embedding: the encoded image.
            points: x y in pixels of the image.
            settings: the filters.
            watch: called with the logits at the image's size of what passes, chunk by chunk.

        Raises:
            InputError: from a model that gives no logits.
        """
        from adapters.ways.points import by_decoding

        return by_decoding(self, embedding, points, settings, watch)

    def detect(self, image: NDArray[np.uint8], settings: EverythingSettings = AMG) -> Boxes:
        """Return boxes of the objects in an (H, W, 3) uint8 RGB image, most confident first.

        Raises:
            InputError: from a model that finds none by itself.
        """
        raise InputError(f"{self.card.name} finds no boxes")

    def ground(self, embedding: Embedding, words: Words, settings: GroundSettings | None = None) -> Grounded:
        """Find what words name.

        Args:
            embedding: the image.
            words: all phrases that are asked, in one call.
            settings: None for the model's own.

        Raises:
            InputError: from a model that takes no words, and for a phrase that is too long for it.
        """
        check_takes(self.card, words)
        return self._ground(embedding, words, settings or self.grounding)

    def wait(self) -> None:  # noqa: B027
        """Return when the device has finished what it was given; at once on a CPU."""

    def parameters(self) -> int:
        """Return the number of parameters held."""
        return 0

    @abstractmethod
    def _encode(self, image: NDArray[np.uint8]) -> Embedding: ...

    def _decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        raise NotImplementedError

    def _everything(self, embedding: Embedding, settings: EverythingSettings) -> Proposals:
        from adapters.ways.points import by_grid

        return by_grid(self, embedding, settings)

    def _ground(self, embedding: Embedding, words: Words, settings: GroundSettings) -> Grounded:
        raise NotImplementedError

    def _resizing(self, resize: Resize) -> Adapter:
        raise NotImplementedError


def check_takes(card: ModelCard, prompts: Prompts | Words) -> None:
    """Raise InputError, naming the model and the limit, where its card says it can't take these prompts."""
    if isinstance(prompts, Words):
        if "text" not in card.prompts:
            raise InputError(f"{card.name} takes no words")
        return
    if prompts.boxes is not None and "box" not in card.prompts:
        raise InputError(f"{card.name} takes no boxes")
    if prompts.boxes is not None and prompts.points is not None and "box_point" not in card.prompts:
        raise InputError(f"{card.name} takes no box and points at once")
    if prompts.logits is not None and "mask" not in card.prompts:
        raise InputError(f"{card.name} takes no earlier mask as a prompt")
    if prompts.points is not None:
        assert prompts.labels is not None
        if "point" not in card.prompts:
            raise InputError(f"{card.name} takes no points")
        if "negative" not in card.prompts and (prompts.labels == BACKGROUND).any():
            raise InputError(f"{card.name} takes no negative clicks")
        count = prompts.points.shape[1] + 2 * (prompts.boxes is not None)
        if card.max_points is not None and count > card.max_points:
            raise InputError(f"{card.name} takes {card.max_points} points at most, box corners included, got {count}")
