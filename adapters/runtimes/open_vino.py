"""OpenVINO on the CPU: pip install 'sambench[openvino]'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openvino
import torch
from torch import Tensor

from adapters import devices
from adapters.adapter import Adapter
from adapters.errors import InputError
from adapters.runtimes.exported import Shapes, build_with


def build(adapter: Adapter) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter with its encoder and decoder run by OpenVINO, with as many threads as torch has."""
    if devices.kind(adapter.device) != "cpu":
        raise InputError("openvino runs on the CPU here: --device cpu")
    return build_with(adapter, OpenVinoGraph, "openvino")


class OpenVinoGraph:
    """A compiled model. Left alone it would compute in bf16 where the processor can."""

    def __init__(self, path: Path) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(path), "CPU", settings)

    def __call__(self, inputs: Mapping[str, Tensor], outputs: Shapes) -> dict[str, Tensor]:
        """Return the outputs."""
        given = {name: tensor.numpy() for name, tensor in inputs.items()}
        found = self.model(given, share_inputs=True, share_outputs=False)
        return {name: torch.from_numpy(found[name]) for name in outputs}
