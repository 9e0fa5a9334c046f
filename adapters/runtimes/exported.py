"""Encoder and decoder of the SAM-like families as ONNX graphs, and an adapter that runs them.

The decoder's graph takes the image's features, the dense prompt already added, and any number of prompts of any number
of tokens; prompts are embedded by the adapter. All masks of a prompt come from one run.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adapters.adapter import Adapter
from adapters.errors import InputError
from adapters.runtimes.networks import only_fp32, sam_like
from adapters.sam_like.adapter import SamLike
from adapters.sam_like.decoder import Attended, Finer, ImageSide, TwoWayDecoder

OPSET = 18
SAMPLE_PROMPTS, SAMPLE_TOKENS = 3, 2
FINER = ("once", "twice")

Shapes = Mapping[str, tuple[int, ...]]


class Graph(Protocol):
    """An ONNX file, ready to run."""

    def __call__(self, inputs: Mapping[str, Tensor], outputs: Shapes) -> dict[str, Tensor]:
        """Return the outputs, float32, whose shapes are known, on the inputs' device."""


class Engine(Protocol):
    """What runs graphs."""

    def __call__(self, path: Path) -> Graph:
        """Return the graph in an ONNX file, which may be gone afterwards."""


def build_with(adapter: Adapter, engine: Engine, runtime: str) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter with its encoder and decoder run by an engine, and the seconds that exporting them took.

    Raises:
        InputError: where the adapter isn't SAM-like, or computes in another precision than fp32.
    """
    original = sam_like(adapter, runtime)
    only_fp32(adapter, runtime)
    other: SamLike = copy(original)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        encoder = engine(export_encoder(original, Path(folder) / "encoder.onnx"))
        encoded = time.perf_counter()
        decoder = engine(export_decoder(original, Path(folder) / "decoder.onnx"))
        decoded = time.perf_counter()
    other.encoder = ExportedEncoder(encoder, original.decoder)
    other.decoder = ExportedDecoder(decoder, original.decoder)
    return other, {"encode": encoded - start, "decode": decoded - encoded}


def export_encoder(adapter: SamLike, path: Path) -> Path:
    """Write the encoder, for one image: pixels (1, 3, S, S) -> features (1, C, h, w), and finer maps if there are."""
    side = adapter.frame.side
    pixels = torch.zeros(1, 3, side, side, device=adapter.device)
    encoder: Any = adapter.encoder
    _export(encoder, {"pixels": pixels}, tuple(_encoded_shapes(adapter.decoder)), {}, path)
    return path


def export_decoder(adapter: SamLike, path: Path) -> Path:
    """Write the decoder: features (1, C, h, w), sparse (N, S, C) -> logits (N, M, 4h, 4w), scores (N, M).

    Where it takes finer maps, their rows are inputs too.
    """
    shapes = _encoded_shapes(adapter.decoder)
    features, *finer = (torch.zeros(shape, device=adapter.device) for shape in shapes.values())
    inputs = {
        "features": features,
        "sparse": torch.zeros(SAMPLE_PROMPTS, SAMPLE_TOKENS, features.shape[1], device=adapter.device),
        **dict(zip(FINER, (own.flatten(1, 2) for own in finer), strict=False)),
    }
    free = {"sparse": {0: torch.export.Dim("prompts"), 1: torch.export.Dim("tokens")}}
    _export(_Decoding(adapter.decoder), inputs, ("logits", "scores"), free, path)
    return path


def _encoded_shapes(decoder: TwoWayDecoder) -> Shapes:
    """Return the shapes of what the encoder gives."""
    (height, width), channels = decoder.grid, decoder.output_tokens.shape[1]
    once, twice = (1, 2 * height, 2 * width, channels // 4), (1, 4 * height, 4 * width, channels // 8)
    finer = zip(FINER, (once, twice), strict=True) if decoder.takes_finer else ()
    return {"features": (1, channels, height, width), **dict(finer)}


class ExportedEncoder:
    """The encoder's graph in the encoder's place."""

    def __init__(self, graph: Graph, decoder: TwoWayDecoder) -> None:
        self.graph, self.shapes = graph, _encoded_shapes(decoder)

    def __call__(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return (1, C, h, w) features of (1, 3, S, S) pixels, and finer maps where there are any."""
        if len(pixels) != 1:
            raise InputError("the exported encoder takes one image at a time")
        found = self.graph({"pixels": pixels.contiguous()}, self.shapes)
        return tuple(found[name] for name in self.shapes) if len(self.shapes) > 1 else found["features"]


@dataclass(frozen=True, kw_only=True)
class Finished(Attended):
    """Answers whose masks are computed already: logits (N, M, 4h, 4w)."""

    logits: Tensor

    def __getitem__(self, rows: Tensor) -> Finished:
        """Return the answer to some of the prompts."""
        return Finished(self.mask_tokens, self.positions, self.scores[rows], logits=self.logits[rows])


class ExportedDecoder(TwoWayDecoder):
    """The decoder's graph in the decoder's place: attending computes the masks too, upscaling only picks them."""

    def __init__(self, graph: Graph, original: TwoWayDecoder) -> None:
        self.graph, self.grid = graph, original.grid
        self.masks, self.takes_finer = original.module.num_mask_tokens, original.takes_finer

    def image_side(self, features: Tensor, finer: Finer | None = None) -> ImageSide:
        """Return the features as they are.

        Raises:
            InputError: where a mask prompt has made them differ from prompt to prompt.
        """
        if len(features) != 1:
            raise InputError("the exported decoder takes no earlier mask as a prompt")
        return ImageSide(features.contiguous(), None, finer)

    def attend(self, image: ImageSide, sparse: Tensor) -> Attended:
        """Run the graph on (N, S, C) embedded prompts."""
        height, width = self.grid
        shapes = {
            "logits": (len(sparse), self.masks, 4 * height, 4 * width),
            "scores": (len(sparse), self.masks),
        }
        finer = zip(FINER, image.finer or (), strict=False)
        found = self.graph({"features": image.keys, "sparse": sparse.contiguous(), **dict(finer)}, shapes)
        nothing = sparse[:, :0]
        return Finished(nothing, nothing, found["scores"], logits=found["logits"])

    def upscale(self, attended: Attended, columns: Sequence[int]) -> Tensor:
        """Return (N, len(columns), 4h, 4w) logits of the masks asked for."""
        assert isinstance(attended, Finished)
        return attended.logits[:, list(columns)]


class _Decoding(nn.Module):
    """The decoder as one function of tensors."""

    def __init__(self, decoder: TwoWayDecoder) -> None:
        super().__init__()
        self.module, self.decoder = decoder.module, decoder

    def forward(
        self, features: Tensor, sparse: Tensor, once: Tensor | None = None, twice: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        finer = None if once is None or twice is None else (once, twice)
        attended = self.decoder.attend(self.decoder.image_side(features, finer), sparse)
        return self.decoder.upscale(attended, range(self.decoder.module.num_mask_tokens)), attended.scores


def _export(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...], free: Mapping[str, Any], path: Path
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: free.get(name) for name in inputs} if free else None,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
