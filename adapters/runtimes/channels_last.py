"""Convolutions with the channels innermost in memory. The decoder has none that this touches."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor

from adapters.adapter import Adapter
from adapters.runtimes.networks import whole_network
from adapters.sam_like.adapter import SamLike


def build(adapter: Adapter) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter with its encoder's weights and input in that layout."""
    other: Any = copy(adapter)
    if isinstance(adapter, SamLike):
        adapter.module.to(memory_format=torch.channels_last)
        encoder = adapter.encoder
        other.encoder = lambda pixels: _contiguous(encoder(_laid_out(pixels)))
    else:
        network = whole_network(adapter, "channels_last").to(memory_format=torch.channels_last)
        other.network = lambda pixels: network(_laid_out(pixels))
    return other, {}


def _contiguous(encoded: Any) -> Any:
    return tuple(map(_contiguous, encoded)) if isinstance(encoded, tuple) else encoded.contiguous()


def _laid_out(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last)
