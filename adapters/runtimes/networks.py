"""Which parts of an adapter are networks that can be computed another way."""

from __future__ import annotations

from typing import Any

from adapters.adapter import Adapter
from adapters.errors import InputError
from adapters.sam_like.adapter import SamLike


def sam_like(adapter: Adapter, runtime: str) -> SamLike:
    """Return the adapter, known to have an encoder and a two-way decoder.

    Raises:
        InputError: where it hasn't.
    """
    if not isinstance(adapter, SamLike):
        raise InputError(f"{adapter.card.name}: {runtime} is there for the SAM-like families alone")
    return adapter


def whole_network(adapter: Adapter, runtime: str) -> Any:
    """Return the one network of a family that isn't SAM-like.

    Raises:
        InputError: where it has none.
    """
    network = getattr(adapter, "network", None)
    if network is None:
        raise InputError(f"{adapter.card.name}: it has no network for {runtime}")
    return network


def only_fp32(adapter: Adapter, runtime: str) -> None:
    """Raise InputError where another precision is asked of a runtime that has but one."""
    if adapter.dtype != "fp32":
        raise InputError(f"{adapter.card.name}: {runtime} computes in fp32 here, not in {adapter.dtype}")
