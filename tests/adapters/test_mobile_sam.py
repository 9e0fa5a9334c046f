"""MobileSAM and TinySAM: every official tensor finds its place, and the masks are those of the official code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import adapters
from adapters.download import fetch
from adapters.errors import InputError
from adapters.mobile_sam import official_name
from adapters.state_dict import KeysError, load_strictly
from tests.conftest import check_recorded, load_filled, read_json


def test_every_tensor_has_its_official_name(random_mobile_sam, shared):
    """TinySAM's network is MobileSAM's to the letter, and its official names and shapes are at hand."""
    official = read_json(shared / "parity" / "tiny_sam.keys.json")
    own = {official_name(name): list(tensor.shape) for name, tensor in random_mobile_sam.module.state_dict().items()}
    assert own == {name: shape for name, (shape, _) in official.items()}


def test_missing_and_unexpected_tensors_are_listed(random_mobile_sam):
    state = {official_name(name): tensor for name, tensor in random_mobile_sam.module.state_dict().items()}
    state["stranger"] = state.pop("image_encoder.patch_embed.seq.0.c.weight")
    state["image_encoder.neck.0.weight"] = torch.zeros(3)
    with pytest.raises(KeysError) as caught:
        load_strictly(random_mobile_sam.module, state, official_name)
    assert caught.value.missing == ["image_encoder.patch_embed.seq.0.c.weight"]
    assert caught.value.unexpected == ["stranger"]
    assert caught.value.misshapen == ["image_encoder.neck.0.weight"]
    assert all(name in str(caught.value) for name in ("stranger", "patch_embed.seq.0.c.weight", "neck.0.weight"))


@pytest.mark.real_weights
def test_runs_in_evaluation_mode(mobile_sam):
    assert not any(module.training for module in mobile_sam.module.modules())


@pytest.mark.parametrize("name", ["mobile_sam", "tiny_sam"])
def test_equals_official_outputs_on_deterministic_weights(name, shared, photo, tmp_path):
    """TinySAM's fixture serves MobileSAM: the same network."""
    adapter = load_filled(name, "tiny_sam", shared, tmp_path)
    check_recorded(adapter, np.load(shared / "parity" / "tiny_sam_20992.npz"), photo, tolerance=2e-5)


def test_tiny_sam_is_mobile_sams_network_with_other_weights():
    mobile, *tiny = (adapters.card(name) for name in ("mobile_sam", "tiny_sam", "tiny_sam_42_3"))
    for card in tiny:
        assert (card.family, card.architecture, card.parameters) == (
            "mobile_sam",
            mobile.architecture,
            mobile.parameters,
        )
    assert len({card.checkpoint.filename for card in (mobile, *tiny)}) == 3


def test_weights_without_a_published_hash_are_not_fetched_unasked():
    with pytest.raises(InputError, match="tiny_sam_42_3: no hash is published"):
        fetch(adapters.card("tiny_sam_42_3"))
