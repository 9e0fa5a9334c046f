"""The adapter of every family made of an image encoder, a prompt encoder and SAM's two-way decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters import devices
from adapters.adapter import Adapter, Candidates, Embedding, Resize
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.everything import EverythingSettings
from adapters.prompts import Prompts
from adapters.sam_like.decoder import Attended, Finer, ImageSide, TwoWayDecoder
from adapters.sam_like.frames import Frame, LongestSide
from adapters.sam_like.point_grid import found_at
from adapters.stages import stage
from adapters.ways.found import Found, Watch

SINGLE, MULTIMASK = 0, slice(1, None)
"""SAM's decoder: token 0 is the mask meant to stand alone, the others are for ambiguous prompts."""

OFFSET = 1.0
"""Of the stability score."""

DECODE_CHUNK = {"cpu": 2, "cuda": 64}
"""Prompts decoded together. On a CPU the features of two prompts stay below 32 MB, where glibc's malloc still keeps
memory instead of mapping (and page-faulting in) fresh pages on every call."""

RESTORE_CHUNK = {"cpu": 4, "cuda": 64}
"""Masks brought to the image's size together."""


class PromptEncoder(Protocol):
    """Embeds prompts that are in the prompt encoder's frame."""

    def sparse(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None) -> Tensor:
        """Return (N, S, C) tokens of (N, 4) boxes, of (N, K, 2) points with (N, K) labels, or of both."""

    def dense(self, features: Tensor, logits: Tensor | None) -> Tensor:
        """Return (1, C, h, w) features with what (N, 256, 256) earlier logits, or none, add: (1 or N, C, h, w)."""


@dataclass
class SamEmbedding(Embedding):
    """An encoded image.

    Attributes:
        features: (1, C, h, w) from the image encoder.
        finer: rows of the finer maps that the decoder adds, where the family has them.
        side: the decoder's view of the features without a mask prompt, made when first needed.
    """

    features: Tensor
    finer: Finer | None = None
    side: ImageSide | None = None


class SamLike(Adapter):
    """An image encoder, a prompt encoder and a two-way decoder behind the prompt interface.

    Args:
        card, weights, device, dtype: as in Adapter.
        module: holds all parameters, already on the device.
        encoder: (1, 3, S, S) -> (1, C, h, w), or where the decoder takes finer maps that, (1, 2h, 2w, C/4) and
            (1, 4h, 4w, C/8).
        prompt_encoder: embeds prompts.
        decoder: the two-way decoder.
        frame: the family's preprocessing and its inverse.
    """

    def __init__(
        self,
        card: ModelCard,
        weights: Weights,
        device: str,
        dtype: str,
        *,
        module: nn.Module,
        encoder: Callable[[Tensor], Tensor | tuple[Tensor, ...]],
        prompt_encoder: PromptEncoder,
        decoder: TwoWayDecoder,
        frame: Frame,
    ) -> None:
        self.card, self.weights, self.device, self.dtype = card, weights, device, dtype
        self.module, self.encoder, self.prompt_encoder = module, encoder, prompt_encoder
        self.decoder, self.frame = decoder, frame
        self._parameters = sum(parameter.numel() for parameter in module.parameters())

    def _resizing(self, resize: Resize) -> Adapter:
        assert resize == "torch_antialias"
        assert isinstance(self.frame, LongestSide)
        other = copy(self)
        other.frame = replace(self.frame, torch_antialias=True)
        return other

    def parameters(self) -> int:
        return self._parameters

    def wait(self) -> None:
        devices.wait(self.device)

    def _encode(self, image: NDArray[np.uint8]) -> SamEmbedding:
        with stage("preprocess", wait=self.wait):
            pixels = self.frame.prepare(image).to(self.device)
        with stage("encode", wait=self.wait), self.computing():
            height, width = image.shape[:2]
            return self._embedded(self.encoder(pixels), (height, width))

    def _embedded(self, encoded: Any, image_size: tuple[int, int]) -> SamEmbedding:
        """Return what is kept of the encoder's output."""
        if not self.decoder.takes_finer:
            return SamEmbedding(image_size, encoded.float())
        features, once, twice = (own.float() for own in encoded)
        return SamEmbedding(image_size, features, self.decoder.finer_rows(once, twice))

    def _decode(self, embedding: Embedding, prompts: Prompts) -> SamCandidates:
        assert isinstance(embedding, SamEmbedding)
        columns = range(self.card.masks)
        logits, scores = [], []
        with self.computing():
            for attended in self.attend(embedding, prompts):
                logits.append(self.decoder.upscale(attended, columns).float())
                scores.append(attended.scores[:, : len(columns)].float())
            if not logits:
                height, width = self.decoder.grid
                logits = [torch.zeros(0, len(columns), 4 * height, 4 * width, device=self.device)]
                scores = [torch.zeros(0, len(columns))]
        return self._candidates(torch.cat(logits), torch.cat(scores), embedding.image_size)

    def _candidates(self, logits: Tensor, scores: Tensor, image_size: tuple[int, int]) -> SamCandidates:
        """Return the answer made of (N, M, 4h, 4w) logits and (N, M) scores."""
        return SamCandidates(logits, scores.cpu().numpy(), image_size, self)

    def found_at(
        self,
        embedding: Embedding,
        points: NDArray[np.float64],
        settings: EverythingSettings,
        watch: Watch | None = None,
    ) -> Found:
        assert isinstance(embedding, SamEmbedding)
        return found_at(self, embedding, points, settings, watch)

    def restore(self, logits: Tensor, image_size: tuple[int, int]) -> Iterator[Tensor]:
        """Yield chunks of (K, H, W) logits at the image's own size, in order."""
        size = RESTORE_CHUNK[devices.kind(self.device)]
        for start in range(0, len(logits), size):
            yield self.frame.restore(logits[start : start + size], image_size)

    def attend(self, embedding: SamEmbedding, prompts: Prompts) -> Iterator[Attended]:
        """Yield the transformer's answers to chunks of the prompts, in order."""
        size = DECODE_CHUNK[devices.kind(self.device)]
        for start in range(0, len(prompts), size):
            chunk = prompts[start : start + size]
            yield self.decoder.attend(self._image_side(embedding, chunk), self._sparse(embedding, chunk))

    def _sparse(self, embedding: SamEmbedding, prompts: Prompts) -> Tensor:
        boxes, points, labels = prompts.boxes, prompts.points, prompts.labels
        return self.prompt_encoder.sparse(
            None if boxes is None else self._scaled(boxes.reshape(-1, 2, 2), embedding.image_size).view(-1, 4),
            None if points is None else self._scaled(points, embedding.image_size),
            None if labels is None else torch.from_numpy(labels.copy()).to(self.device),
        )

    def _scaled(self, points: NDArray[np.float64], image_size: tuple[int, int]) -> Tensor:
        """Return (..., 2) points in the prompt encoder's frame, float32."""
        if self.frame.clip:
            height, width = image_size
            points = points.clip(0, (width, height))
        scaled = points * self.frame.scale(image_size)
        return torch.from_numpy(scaled).float().to(self.device)

    def _image_side(self, embedding: SamEmbedding, prompts: Prompts) -> ImageSide:
        if prompts.logits is not None:
            logits = torch.from_numpy(prompts.logits.copy()).to(self.device)
            return self.decoder.image_side(self.prompt_encoder.dense(embedding.features, logits), embedding.finer)
        if embedding.side is None:
            features = self.prompt_encoder.dense(embedding.features, None)
            embedding.side = self.decoder.image_side(features, embedding.finer)
        return embedding.side

    def computing(self) -> AbstractContextManager[None]:
        """Compute without gradients, in the adapter's dtype."""
        return devices.computing(self.device, self.dtype)


class SamCandidates(Candidates):
    """Four masks for each prompt, as low-resolution logits, or of a model that has one the single one.

    Attributes:
        logits: (N, M, 256, 256) float32 on the adapter's device.
    """

    single = SINGLE
    multimask = MULTIMASK

    def __init__(
        self, logits: Tensor, scores: NDArray[np.float32], image_size: tuple[int, int], adapter: SamLike
    ) -> None:
        self.logits, self.scores, self.image_size = logits, scores, image_size
        self._adapter = adapter
        if scores.shape[1] == 1:
            self.multimask = slice(0, None)

    def wait(self) -> None:
        self._adapter.wait()

    def stability(self) -> NDArray[np.float32]:
        inner, outer = (torch.count_nonzero(self.logits > level, dim=(2, 3)) for level in (OFFSET, -OFFSET))
        return np.asarray((inner / outer).nan_to_num().cpu().numpy())

    def chosen_logits(self, columns: NDArray[np.integer]) -> NDArray[np.float32]:
        return np.asarray(self.logits[torch.arange(len(self)), torch.from_numpy(np.asarray(columns))].cpu().numpy())

    def restored(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Iterator[Tensor]:
        wanted = self.logits[torch.from_numpy(np.asarray(rows)), torch.from_numpy(np.asarray(columns))]
        return self._adapter.restore(wanted, self.image_size)

    def _masks(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        masks = np.empty((len(rows), *self.image_size), dtype=bool)
        done = 0
        with torch.inference_mode():
            for chunk in self.restored(rows, columns):
                masks[done : done + len(chunk)] = (chunk > 0).cpu().numpy()
                done += len(chunk)
        return masks
