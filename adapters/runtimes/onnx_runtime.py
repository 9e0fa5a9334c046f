"""onnxruntime: pip install 'sambench[onnx]'; on CUDA, onnxruntime-gpu in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from adapters import devices
from adapters.adapter import Adapter
from adapters.errors import InputError
from adapters.runtimes.exported import Shapes, build_with

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def build(adapter: Adapter) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter with its encoder and decoder run by onnxruntime, with as many threads as torch has."""
    provider = PROVIDERS[devices.kind(adapter.device)]
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"this onnxruntime has no {provider}: pip install onnxruntime-gpu in its place")
    return build_with(adapter, lambda path: OnnxGraph(path, provider), "onnxruntime")


class OnnxGraph:
    """A session. It reads and writes torch's own memory."""

    def __init__(self, path: Path, provider: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=[provider])

    def __call__(self, inputs: Mapping[str, Tensor], outputs: Shapes) -> dict[str, Tensor]:
        """Return the outputs."""
        device = next(iter(inputs.values())).device
        made = {name: torch.empty(shape, device=device) for name, shape in outputs.items()}
        binding = self.session.io_binding()
        for name, tensor in inputs.items():
            binding.bind_input(name, *_place(tensor))
        for name, tensor in made.items():
            binding.bind_output(name, *_place(tensor))
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()
        self.session.run_with_iobinding(binding)
        return made


def _place(tensor: Tensor) -> tuple[str, int, type[np.float32], list[int], int]:
    return tensor.device.type, tensor.device.index or 0, np.float32, list(tensor.shape), tensor.data_ptr()
