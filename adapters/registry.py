"""From a model's name to an adapter that runs it."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from adapters.errors import InputError, unknown

if TYPE_CHECKING:
    from adapters.adapter import Adapter
    from adapters.cards import ModelCard

DTYPES = ("fp32", "bf16", "fp16")


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    from adapters.cards import cards

    return tuple(cards())


def card(name: str) -> ModelCard:
    """Return a model's card.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    from adapters.cards import card

    return card(name)


def load(
    name: str,
    weights: str | PathLike[str] | None = None,
    device: str = "cpu",
    dtype: str = "fp32",
    allow_unknown_hash: bool = False,
    **options: Any,
) -> Adapter:
    """Return the model, ready to run, in evaluation mode.

    Args:
        name: one of :func:`names`.
        weights: None for the official checkpoint in the cache, "random" for seeded random weights, or a file.
        device: "cpu", "cuda" or "cuda:N".
        dtype: "fp32", or "bf16" or "fp16" for autocast.
        allow_unknown_hash: take a file that can't be proven to be the official checkpoint.
        options: the family's own, such as FastSAM's ``box_match``.

    Raises:
        InputError: for an unknown name, a missing or wrong checkpoint, a device that isn't there.
    """
    from adapters.checkpoints import resolve

    chosen = card(name)
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    check_device(device)
    proven = resolve(chosen, weights, allow_unknown_hash=allow_unknown_hash)
    build = import_module(f"adapters.{chosen.family}").build
    try:
        adapter: Adapter = build(chosen, proven, device, dtype, **options)
    except TypeError as error:
        if options and "unexpected keyword argument" in str(error):
            raise InputError(f"{name}: no such option ({error})") from None
        raise
    return adapter


def check_device(device: str) -> None:
    """Raise InputError where the device isn't one, or isn't there."""
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise InputError(f"device {device!r}: cpu, cuda or cuda:N needed")
    import torch

    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= present:
        raise InputError(f"device {device!r} asked for, but torch sees {present} CUDA devices: use --device cpu")
