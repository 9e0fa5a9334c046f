"""torch.compile. Needs a C++ compiler on a CPU, Triton on CUDA; compiles at the first call of each shape."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch

from adapters.adapter import Adapter
from adapters.runtimes.networks import whole_network
from adapters.sam_like.adapter import SamLike

BACKEND = "inductor"


def build(adapter: Adapter) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter with its encoder and both parts of its decoder compiled."""
    other: Any = copy(adapter)
    if isinstance(adapter, SamLike):
        other.encoder = torch.compile(adapter.encoder, backend=BACKEND)
        other.decoder = copy(adapter.decoder)
        other.decoder.attend = torch.compile(adapter.decoder.attend, backend=BACKEND)
        other.decoder.upscale = torch.compile(adapter.decoder.upscale, backend=BACKEND)
    else:
        other.network = torch.compile(whole_network(adapter, "compile"), backend=BACKEND)
    return other, {}
