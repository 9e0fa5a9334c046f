"""Other ways of computing what an adapter computes, behind the same prompt interface."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from adapters.adapter import Adapter
from adapters.errors import InputError, unknown

EAGER = "eager"

_MODULES = {
    EAGER: "eager",
    "compile": "compiled",
    "channels_last": "channels_last",
    "onnxruntime": "onnx_runtime",
    "openvino": "open_vino",
}
RUNTIMES = tuple(_MODULES)

_EXTRAS = {"onnxruntime": ("onnx", ("onnx", "onnxscript", "onnxruntime")),
           "openvino": ("openvino", ("onnx", "onnxscript", "openvino"))}  # fmt: skip
"""runtime -> the extra that brings it, and the packages it needs."""


def check(runtime: str) -> None:
    """Raise InputError for a runtime that isn't one, or whose extra isn't installed."""
    if runtime not in RUNTIMES:
        raise unknown("runtime", runtime, RUNTIMES)
    extra, packages = _EXTRAS.get(runtime, ("", ()))
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f"{runtime} needs {', '.join(missing)}: pip install 'sambench[{extra}]'")


def with_runtime(adapter: Adapter, runtime: str) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter computing another way, and the seconds that making it took, by stage (encode, decode).

    The two may share parameters, in whatever layout the runtime wants them: the adapter given isn't to be used any
    more. A runtime that compiles at its first call has taken no time yet.

    Raises:
        InputError: for an unknown runtime, one that isn't installed, or one that can't run this model on this device
            in this precision.
    """
    check(runtime)
    made: tuple[Adapter, dict[str, float]] = import_module(f"adapters.runtimes.{_MODULES[runtime]}").build(adapter)
    return made
