"""Reading a pickle of {name: numpy array} while running nothing that it names.

A pickle says which functions make its objects. Here stand-ins take the place of those that numpy's arrays are made by,
and whatever else it names ends the reading.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.errors import InputError

NUMBERS = re.compile(r"f[248]|i[1248]|u1|b1")
"""The types of numbers that are read, as numpy writes them."""


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Return the arrays in a pickle as tensors.

    Raises:
        InputError: where it holds, or names, something else.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file).load()
        if isinstance(content, dict) and all(isinstance(value, _Array) for value in content.values()):
            return {name: content.pop(name).tensor() for name in list(content)}
    except _ForeignError as error:
        raise InputError(f"{path} holds more than arrays: it names {error}") from None
    except Exception as error:  # a damaged or foreign pickle can raise almost anything
        raise InputError(f"{path} can't be read as a pickle of arrays ({type(error).__name__})") from None
    raise InputError(f"{path} holds no arrays by name")


class _ForeignError(Exception):
    """Something is named that arrays don't need."""


class _Array:
    """Stands for an array: a view of the bytes that were stored."""

    values: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        self.values = np.ndarray(shape, kind.dtype(), content, order="F" if fortran else "C")

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.values.astype(self.values.dtype.newbyteorder("=")))


class _Kind:
    """Stands for a type of numbers, such as f4, in some byte order."""

    order: Any = "="

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if not NUMBERS.fullmatch(self.code):
            raise _ForeignError(f"numbers of type {self.code!r}")
        return np.dtype(self.code).newbyteorder(self.order)


def _reconstruct(*_: object) -> _Array:
    """Stands for the function of that name, which makes an array that is empty until its state is set."""
    return _Array()


def _from_buffer(content: bytes, kind: _Kind, shape: tuple[int, ...], order: str) -> _Array:
    """Stands for numpy's function that makes an array in one step, from pickle's protocol 5 on."""
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _encode(text: str, _: str) -> bytes:
    """Stands for the function by which pickle's protocol 2 stores bytes as text."""
    return text.encode("latin1")


KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise _ForeignError(f"{module}.{name}")
        return known
