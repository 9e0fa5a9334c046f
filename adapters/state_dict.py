"""Opening a checkpoint whose hash is proven, and giving its tensors to a module, strictly."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adapters.cards import ModelCard
from adapters.checkpoints import EXPORTED, RANDOM, Weights
from adapters.errors import InputError
from adapters.pickled_arrays import read_arrays

StateDict = dict[str, Tensor]
SAFETENSORS = ".safetensors"
COUNTER = "num_batches_tracked"
"""BatchNorm's count of training steps, which evaluation never reads: it may be missing or left over."""

SHOWN = 8
"""So many key names are written out in an error line; the error carries all of them."""


class KeysError(InputError):
    """A checkpoint's tensors aren't the model's.

    Attributes:
        missing, unexpected, misshapen: the names, all of them, as in the checkpoint's own naming.
    """

    def __init__(self, where: str, missing: list[str], unexpected: list[str], misshapen: list[str]) -> None:
        self.missing, self.unexpected, self.misshapen = missing, unexpected, misshapen
        kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        told = "; ".join(f"{len(names)} keys {kind}: {_listed(names)}" for kind, names in kinds.items() if names)
        super().__init__(f"{where} is the checkpoint of another model: {told}")


def fill(
    module: nn.Module,
    card: ModelCard,
    weights: Weights,
    official_name: Callable[[str], str] = lambda name: name,
    unused: tuple[str, ...] = (),
    state: StateDict | None = None,
) -> nn.Module:
    """Give a module its weights and return it in evaluation mode.

    Evaluation mode is set after loading: BatchNorm, and attention biases that are cached when it is set.

    Args:
        module: the model.
        card: its card.
        weights: a proven file, or random.
        official_name: maps the module's tensor names to the checkpoint's.
        unused: how the names of tensors begin that the checkpoint holds and the module doesn't need.
        state: the checkpoint's tensors, where the family has read and rearranged them; otherwise they are read here.

    Raises:
        KeysError: where a tensor is missing, unexpected, or of another shape.
    """
    state = stored(card, weights) if state is None else state
    if state is not None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(unused)}
        load_strictly(module, state, official_name, f"{card.name}: {weights.path}")
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.train().eval()


def stored(card: ModelCard, weights: Weights) -> StateDict | None:
    """Return the tensors in a checkpoint under their official names, running no code of its; None for random weights.

    Raises:
        InputError: where the file holds something else.
    """
    if weights.path is None:
        if weights.identity != RANDOM:
            raise InputError(f"{card.name} can't run without weights")
        return None
    assert card.checkpoint is not None
    if weights.path.suffix == SAFETENSORS:
        return read_safetensors(weights.path, card)
    if weights.path.suffix == EXPORTED:
        from adapters.sam2_exports import read_exports

        return read_exports(weights.path, card)
    reader = {None: read, "module": read_pickled_module, "arrays": read_pickled_arrays}[card.checkpoint.pickled]
    return reader(weights.path, card)


def load_strictly(
    module: nn.Module, state: StateDict, official_name: Callable[[str], str], where: str = "the state dict"
) -> None:
    """Load a state dict whose names, mapped, must be exactly the module's.

    Raises:
        KeysError: where they aren't.
    """
    own = {official_name(name): (name, tensor) for name, tensor in module.state_dict().items() if COUNTER not in name}
    state = {name: tensor for name, tensor in state.items() if COUNTER not in name}
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misshapen = sorted(key for key in own.keys() & state.keys() if own[key][1].shape != state[key].shape)
    if missing or unexpected or misshapen:
        raise KeysError(where, missing, unexpected, misshapen)
    module.load_state_dict({own[key][0]: tensor for key, tensor in state.items()}, strict=False)


def read(path: Path, card: ModelCard) -> StateDict:
    """Return the state dict in a checkpoint file. Only tensors are unpickled.

    Raises:
        InputError: where the file holds something else.
    """
    assert card.checkpoint is not None
    try:
        if card.checkpoint.member is not None and _holds(path, card.checkpoint.member):
            with zipfile.ZipFile(path) as archive, archive.open(card.checkpoint.member) as member:
                content = _tensors(member)
        else:
            content = _tensors(path)
    except Exception as error:  # a damaged or foreign pickle can raise almost anything
        if "weights_only" in str(error) and "global" in str(error).lower():
            raise InputError(f"{card.name}: {path} holds more than tensors") from None
        raise InputError(f"{card.name}: {path} can't be read as a checkpoint ({type(error).__name__})") from None
    if card.checkpoint.key is not None and isinstance(content, dict) and card.checkpoint.key in content:
        content = content[card.checkpoint.key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{card.name}: {path} holds no state dict")
    return content


def read_pickled_module(path: Path, card: ModelCard) -> StateDict:
    """Return the state dict of a module that was pickled whole, running none of the code that the pickle names.

    Every class it names, whatever it is, is replaced by an empty shell that only holds what was stored.

    Raises:
        InputError: where the file holds no module.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_Shell, name) for name in named]):
            content = _tensors(path)
    except Exception as error:  # a damaged or foreign pickle can raise almost anything
        raise InputError(f"{card.name}: {path} can't be read as a pickled module ({type(error).__name__})") from None
    if isinstance(content, dict):
        content = content.get("ema") or content.get("model")
    if not isinstance(content, nn.Module):
        raise InputError(f"{card.name}: {path} holds no module")
    return dict(content.state_dict())


def read_pickled_arrays(path: Path, card: ModelCard) -> StateDict:
    """Return the arrays in a pickle of {name: numpy array}, running nothing that the pickle names.

    Raises:
        InputError: where the file holds something else.
    """
    try:
        return read_arrays(path)
    except InputError as error:
        raise InputError(f"{card.name}: {error}") from None


def read_safetensors(path: Path, card: ModelCard) -> StateDict:
    """Return the tensors in a safetensors file.

    Raises:
        InputError: where it isn't one.
    """
    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors' own, and the operating system's
        raise InputError(f"{card.name}: {path} can't be read as safetensors ({type(error).__name__})") from None


class _Shell(nn.Module):
    """Stands for any class a pickle names."""

    def __new__(cls, *args: object, **kwargs: object) -> _Shell:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module whose random weights are the same on every call, leaving the caller's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _tensors(file: Path | IO[bytes]) -> object:
    return torch.load(file, map_location="cpu", weights_only=True)


def _holds(path: Path, member: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return member in archive.namelist()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
