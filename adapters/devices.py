"""The device and the precision an adapter computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adapters.errors import InputError, unknown

if TYPE_CHECKING:
    import torch

DTYPES = ("fp32", "bf16", "fp16")


def check(device: str, dtype: str) -> None:
    """Raise InputError for a device that isn't one or isn't there, and for a precision it can't compute in.

    Half precision on a CPU is refused: autocast leaves LayerNorm2d's squares in it there, and they overflow.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    kind, colon, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not index.isdigit()) or device.startswith("cpu:"):
        raise InputError(f"device {device!r}: cpu, cuda or cuda:N needed")
    if kind == "cpu":
        if dtype == "fp16":
            raise InputError("fp16 overflows on a CPU: use fp32 or bf16, or a CUDA device")
        return
    import torch

    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= present:
        raise InputError(f"device {device!r} asked for, but torch sees {present} CUDA devices: use --device cpu")


def kind(device: str) -> str:
    """Return "cpu" or "cuda"."""
    return device.partition(":")[0]


def wait(device: str) -> None:
    """Return when the device has finished what it was given."""
    if kind(device) == "cuda":
        import torch

        torch.cuda.synchronize(device)


@contextmanager
def computing(device: str, dtype: str) -> Iterator[None]:
    """Compute without gradients, in a precision."""
    import torch

    with torch.inference_mode():
        if dtype == "fp32":
            yield
        else:
            with torch.autocast(kind(device), _torch_dtype(dtype)):
                yield


def _torch_dtype(dtype: str) -> torch.dtype:
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
