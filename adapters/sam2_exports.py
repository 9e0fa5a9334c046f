"""SAM 2's weights read back from its exports to onnxruntime: image encoder, then decoder with the prompt encoder.

The exports are made by tracing (vietanhdev/samexporter@8d78443, samexporter/export_sam2.py). Parameters keep their
names there, with two exceptions: what was folded into a constant, a transposed weight for instance, is known by the
node that takes it, and a few constants are several parameters in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters.cards import ModelCard
from adapters.errors import InputError

POSITIONS, WINDOW = (7, 7), (8, 8)
"""Sizes of pos_embed and pos_embed_window."""

NAMED = ("model.", "prompt_encoder.", "mask_decoder.", "no_mem_embed")
"""How the names of constants begin that are parameters' own."""

FOLDED = {"MatMul": ".weight", "Mul": ".weight", "Add_1": ".bias"}
"""Of a linear layer, and of LayerNorm2d: the last part of a node's name, and the parameter that it takes."""

TRUNK, TOKENS = "image_encoder.trunk.", ("obj_score_token", "iou_token", "mask_tokens")


def read_exports(path: Path, card: ModelCard) -> dict[str, Tensor]:
    """Return the state dict, under official names; ``path`` is the encoder, beside which the decoder lies.

    ``pos_embed`` and ``pos_embed_window`` are one constant there, their sum, and are split by least squares: their sum
    is the official one up to rounding, they themselves needn't be. Nothing is there of what image mode doesn't use.

    Raises:
        InputError: where the packages that read them aren't installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError:
        raise InputError(f"{card.name}: reading {path.name} needs onnx: pip install 'sambench[onnx]'") from None
    assert card.checkpoint is not None
    assert card.checkpoint.exports is not None
    _, decoder = card.checkpoint.exports.files
    with TemporaryDirectory() as folder:
        encoder = _as_onnx(path, Path(folder) / "encoder.onnx")
        found = dict(_parameters(onnx.load(encoder)))
    found |= dict(_parameters(onnx.load(path.with_name(decoder.filename))))
    return found


def _as_onnx(path: Path, target: Path) -> Path:
    """Write a graph in onnxruntime's own format as ONNX, as it is."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ONNX")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return target


def _parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters in a graph, by their official names."""
    from onnx import numpy_helper

    constants = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in model.graph.initializer}
    for name, constant in constants.items():
        if name.startswith(NAMED):
            official = re.sub(r"^(?=prompt|mask)", "sam_", name.removeprefix("model."))
            yield official, constant.view(1, 1, -1) if name == "no_mem_embed" else constant
    for node in model.graph.node:
        for name in node.input:
            if name in constants and not name.startswith(NAMED):
                yield from _folded(node.name, constants[name])


def _folded(node: str, constant: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters in a constant without a name of its own, by the node that takes it."""
    layer, _, operation = node.removeprefix("/").rpartition("/")
    layer = layer.replace("/", ".")
    if node == "/image_encoder/trunk/Add_1":
        yield from zip((f"{TRUNK}pos_embed", f"{TRUNK}pos_embed_window"), _split(constant), strict=True)
    elif constant.shape == (1, 6, 256):
        for name, tokens in zip(TOKENS, constant[0].split((1, 1, 4)), strict=True):
            yield f"sam_mask_decoder.{name}.weight", tokens
    elif constant.shape == (1, 256, 1, 1):
        yield "sam_prompt_encoder.no_mask_embed.weight", constant.view(1, -1)
    elif operation in FOLDED and constant.is_floating_point() and constant.numel() > 1:
        if not layer.startswith("image_encoder."):
            layer = ("sam_prompt_encoder." if layer.startswith("mask_downscaling") else "sam_mask_decoder.") + layer
        layer = re.sub(r"mask_downscaling\.(?=mask)", "", layer)
        yield layer + FOLDED[operation], constant.T if operation == "MatMul" else constant.flatten()


def _split(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return (1, C, 7, 7) and (1, C, 8, 8) whose sum, one resized and one repeated, is (1, C, h, w)."""
    channels, size = positions.shape[1], positions.shape[2:]
    counts = [rows * columns for rows, columns in (POSITIONS, WINDOW)]
    resized = F.interpolate(torch.eye(counts[0]).view(-1, 1, *POSITIONS), size, mode="bicubic")
    times = [own // one for own, one in zip(size, WINDOW, strict=True)]
    repeated = torch.eye(counts[1]).view(-1, 1, *WINDOW).tile(times)
    basis = torch.cat([resized, repeated]).flatten(1).double()
    # Both parts can hold the mean: of all ways to split it, the pseudo-inverse takes the smallest.
    solved = torch.linalg.pinv(basis @ basis.T) @ (basis @ positions[0].flatten(1).double().T)
    both = solved.float().T.split(counts, dim=1)
    return both[0].reshape(1, channels, *POSITIONS), both[1].reshape(1, channels, *WINDOW)


def _tensor(constant: Any) -> Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(constant).copy())
