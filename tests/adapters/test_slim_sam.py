"""SlimSAM: official names and outputs; the globally pruned ones from whole pickled modules like the published ones."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from segment_anything.modeling.image_encoder import add_decomposed_rel_pos
from torch import nn

import adapters
from adapters.errors import InputError
from adapters.slim_sam import Widths, as_sams, image_encoder
from adapters.state_dict import KeysError
from tests.conftest import check_recorded, filled_state, load_filled, read_json

UNIFORM = ("slim_sam_50_uniform", "slim_sam_77_uniform")
ATTENTION, MLP = (24, 36, 12) * 4, (60, 24, 96, 12) * 3


@pytest.mark.parametrize("name", UNIFORM)
def test_every_tensor_has_its_official_name(name, shared):
    official = read_json(shared / "parity" / f"{name}.keys.json")
    module = adapters.load(name, "random").module
    own = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
    assert own == {key: shape for key, (shape, _) in official.items()}


@pytest.mark.parametrize("name", UNIFORM)
def test_equals_official_outputs(name, shared, photo, tmp_path):
    adapter = load_filled(name, name, shared, tmp_path)
    check_recorded(adapter, np.load(shared / "parity" / f"{name}_20992.npz"), photo)


def test_heads_are_as_wide_as_the_pruned_attention():
    encoder = image_encoder(Widths(36, ATTENTION, MLP))
    for block, width in zip(encoder.blocks, ATTENTION, strict=True):
        assert block.attn.scale == (width // 12) ** -0.5
        assert block.attn.rel_pos_h.shape[1] == width // 12


class Attention(nn.Module):
    """A block's attention as it is pickled: queries, keys and values apart."""

    def __init__(self, embedding: int, width: int, side: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(embedding, width) for _ in range(3))
        self.proj = nn.Linear(width, embedding)
        self.rel_pos_h, self.rel_pos_w = (nn.Parameter(torch.zeros(2 * side - 1, width // 12)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[1:3]
        q, k, v = (layer(x).flatten(1, 2).unflatten(2, (12, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        scores = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).flatten(0, 1)
        scores = add_decomposed_rel_pos(scores, q.flatten(0, 1), self.rel_pos_h, self.rel_pos_w, size, size)
        attended = scores.softmax(-1).view(*q.shape[:3], -1) @ v
        return self.proj(attended.transpose(1, 2).flatten(2).unflatten(1, size))


@pytest.fixture
def published(tmp_path):
    """Write a whole model as the globally pruned ones are published; return the file and the model."""
    model = adapters.load("slim_sam_77_uniform", "random").module
    encoder = image_encoder(Widths(36, ATTENTION, MLP))
    for block in encoder.blocks:
        side = (len(block.attn.rel_pos_h) + 1) // 2
        block.attn = Attention(36, block.attn.proj.in_features, side)
    generator = torch.Generator().manual_seed(0)
    for parameter in encoder.requires_grad_(False).parameters():
        parameter.normal_(std=0.2, generator=generator)
    # Training sets the method on the object, which is pickled as a call of getattr.
    encoder.forward = types.MethodType(type(encoder).forward, encoder)
    model.image_encoder = nn.DataParallel(encoder)
    torch.save(model, tmp_path / "SlimSAM-77.pth")
    return tmp_path / "SlimSAM-77.pth", model


def test_a_globally_pruned_model_is_built_as_wide_as_its_checkpoint(published):
    file, model = published
    adapter = adapters.load("slim_sam_77", file, allow_unknown_hash=True)
    assert adapter.parameters() == sum(parameter.numel() for parameter in model.parameters())
    rows = torch.randn(1, 20, 20, 36, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(adapter.encoder.blocks, model.image_encoder.module.blocks, strict=True):
        torch.testing.assert_close(ours(rows), theirs(rows), rtol=1e-4, atol=1e-5)
    others = {name: tensor for name, tensor in model.state_dict().items() if ".blocks." not in name}
    for name, tensor in others.items():
        torch.testing.assert_close(adapter.module.state_dict()[name.replace(".module.", ".")], tensor)


def test_without_a_checkpoint_its_width_is_not_known():
    with pytest.raises(InputError, match=r"slim_sam_77 can't have random weights: .* only in its checkpoint"):
        adapters.load("slim_sam_77", "random")


def test_another_models_pickle_gets_one_line(tmp_path):
    torch.save(nn.Sequential(nn.Linear(3, 3)), tmp_path / "SlimSAM-77.pth")
    with pytest.raises(InputError, match=r"slim_sam_77: .* is the checkpoint of another model") as caught:
        adapters.load("slim_sam_77", tmp_path / "SlimSAM-77.pth", allow_unknown_hash=True)
    assert "\n" not in str(caught.value)


def test_a_half_of_queries_keys_and_values_is_left_to_be_told():
    name = "image_encoder.module.blocks.0.attn.q.weight"
    assert as_sams({name: torch.zeros(1)}).keys() == {"image_encoder.blocks.0.attn.q.weight"}


def test_a_uniform_one_refuses_the_other_s_checkpoint(shared, tmp_path):
    torch.save(filled_state("slim_sam_77_uniform", shared), tmp_path / "other.pth")
    with pytest.raises(KeysError, match="of another shape"):
        adapters.load("slim_sam_50_uniform", tmp_path / "other.pth", allow_unknown_hash=True)
