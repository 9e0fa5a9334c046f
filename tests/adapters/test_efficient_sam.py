"""EfficientSAM: official names and shapes, official outputs on deterministic weights, and what it can't take."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import adapters
from adapters.adapter import Embedding
from adapters.efficient_sam import official_name
from adapters.errors import InputError
from adapters.prompts import Prompts
from tests.conftest import check_recorded, load_filled, read_json

NAMES = ("efficient_sam_ti", "efficient_sam_s")


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


def test_every_tensor_has_its_official_name(name, shared):
    official = read_json(shared / "parity" / f"{name}.keys.json")
    module = adapters.load(name, "random").module
    own = {official_name(key): list(tensor.shape) for key, tensor in module.state_dict().items()}
    assert own == {key: shape for key, (shape, _) in official.items()}


def test_equals_official_outputs(name, shared, photo, tmp_path):
    adapter = load_filled(name, name, shared, tmp_path)
    check_recorded(adapter, np.load(shared / "parity" / f"{name}_20992.npz"), photo)


class _PlainAttention(nn.Module):
    """Softmax attention as it is written in textbooks, with timm's weights."""

    def __init__(self, fused: nn.Module) -> None:
        super().__init__()
        self.fused = fused

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        batch, count, width = x.shape
        heads = self.fused.num_heads
        q, k, v = self.fused.qkv(x).view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5).softmax(-1)
        return self.fused.proj((weights @ v).transpose(1, 2).reshape(batch, count, width))


def with_plain_attention(encoder: nn.Module) -> nn.Module:
    """Return a copy of an image encoder whose blocks attend by the book."""
    plain = copy.deepcopy(encoder)
    for block in plain.blocks:
        block.attn = _PlainAttention(block.attn)
    return plain


def test_a_block_equals_plain_attention():
    encoder = adapters.load("efficient_sam_ti", "random").module.image_encoder
    rows = torch.randn(1, 400, 192)
    with torch.inference_mode():
        fused, plain = (model.blocks[0].attn(rows) for model in (encoder, with_plain_attention(encoder)))
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (Prompts.from_points([[[5, 5], [9, 9]]], [[1, 0]]), "efficient_sam_ti takes no negative clicks"),
        (Prompts.from_points(np.ones((1, 7, 2)), np.ones((1, 7))), "6 points at most.*got 7"),
        (Prompts.from_boxes([[0, 0, 9, 9]], np.zeros((1, 256, 256))), "takes no earlier mask"),
    ],
)
def test_what_it_cannot_take_is_refused_by_name(scene, prompts, said):
    adapter = adapters.load("efficient_sam_ti", "random")
    embedding = Embedding(scene.shape[:2])
    with pytest.raises(InputError, match=said):
        adapter.decode(embedding, prompts)


def test_a_box_that_sticks_out_is_clipped_not_taken_for_padding(scene):
    """Below zero a coordinate means padding to the official code; a detector's -0.3 must not."""
    adapter = adapters.load("efficient_sam_ti", "random")
    scaled = adapter._scaled(np.array([[[-0.3, 5.0], [700.0, 480.2]]]), (480, 640))
    np.testing.assert_allclose(scaled, [[[0, 5 * 1024 / 480], [1024, 1024]]], rtol=1e-6)
