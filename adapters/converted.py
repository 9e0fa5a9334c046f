"""Checkpoints that are pickles of something else than tensors, turned once into files of tensors and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from adapters.cards import ModelCard
from adapters.checkpoints import Published, Weights, converted_path, git_blob, record_conversion
from adapters.download import temporary_beside
from adapters.errors import InputError
from adapters.state_dict import SAFETENSORS, stored


def convert(card: ModelCard, weights: Weights) -> Path:
    """Write a model's checkpoint to the cache as safetensors, under its official names, and return where it is.

    The file says in its metadata which file it was made from. That it is true is kept on record beside the cache's
    weights: loaded on this machine, the converted file has the published file's identity.

    Args:
        card: the model.
        weights: a file whose hash was checked.

    Raises:
        InputError: where the file isn't a checkpoint, or is safetensors already.
    """
    if weights.path is None:
        raise InputError(f"{card.name}: no file to convert")
    if weights.path.suffix == SAFETENSORS:
        raise InputError(f"{weights.path} is safetensors already: name it with --weights {card.name}={weights.path}")
    state = stored(card, weights)
    assert state is not None
    # Each tensor gets memory of its own, which safetensors asks for, and the one that was read is let go.
    tensors = {name: state.pop(name).clone(memory_format=torch.contiguous_format) for name in list(state)}
    path = converted_path(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    made_from = {"model": card.name, "source": weights.path.name, "source_sha256": weights.identity}
    with temporary_beside(path) as temporary:
        save_file(tensors, temporary, {"format": "pt", **made_from})
        record_conversion(temporary, Published(weights.identity, git_blob(weights.path)))
        temporary.chmod(0o644)
        temporary.replace(path)
    return path
