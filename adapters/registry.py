"""From a model's name to an adapter that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

from adapters import devices
from adapters.errors import InputError

if TYPE_CHECKING:
    from adapters.adapter import Adapter
    from adapters.cards import ModelCard
    from adapters.checkpoints import Weights


def names() -> tuple[str, ...]:
    """Return the names of all models that can be run."""
    from adapters.cards import cards

    return tuple(name for name, card in cards().items() if not card.unpublished)


def card(name: str) -> ModelCard:
    """Return a model's card.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    from adapters.cards import card

    return card(name)


def family(name: str) -> ModuleType:
    """Import the module that builds a model.

    Raises:
        InputError: where the model can't be had, or needs an extra that isn't installed.
    """
    from adapters.cards import published

    chosen = published(name)
    return import_module(chosen.module or f"adapters.{chosen.family}")


def load(
    name: str,
    weights: str | PathLike[str] | Mapping[str, str | PathLike[str] | None] | Weights | None = None,
    device: str = "cpu",
    dtype: str = "fp32",
    allow_unknown_hash: bool = False,
    **options: Any,
) -> Adapter:
    """Return the model, ready to run, in evaluation mode.

    Args:
        name: one of :func:`names`.
        weights: None for the official checkpoint in the cache, "random" for seeded random weights, a file, or its
            folder; these by name for a model made of others; or weights that are proven already
            (adapters.checkpoints.resolve).
        device: "cpu", "cuda" or "cuda:N"; a model without a network stays on the CPU.
        dtype: "fp32", or "bf16" or "fp16" for autocast.
        allow_unknown_hash: take a file that can't be proven to be the official checkpoint.
        options: the family's own, such as FastSAM's ``box_match``.

    Raises:
        InputError: for an unknown or unpublished model, a missing or wrong checkpoint, a device that isn't there, and
            where another package's code fails.
    """
    from adapters.cards import published
    from adapters.checkpoints import Weights, resolve

    chosen = published(name)
    devices.check(device, dtype)
    proven = weights if isinstance(weights, Weights) else resolve(chosen, weights, allow_unknown_hash)
    try:
        adapter: Adapter = family(name).build(chosen, proven, device, dtype, **options)
    except Exception as error:
        if isinstance(error, TypeError) and options and "unexpected keyword argument" in str(error):
            raise InputError(f"{name}: no such option ({error})") from None
        if chosen.module is not None and not isinstance(error, InputError):
            raise InputError(f"{name}: {chosen.module}.build fails with {type(error).__name__}: {error}") from error
        raise
    return adapter
