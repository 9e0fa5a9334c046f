"""EdgeSAM: official names and shapes, and official masks and stability scores on deterministic weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import adapters
from adapters.edge_sam import EdgeSamEncoder
from adapters.sam import sam_around
from tests.conftest import check_recorded, load_filled, read_json, recorded_prompts

NAMES = ("edge_sam", "edge_sam_3x")


@pytest.fixture(scope="module")
def filled(shared, tmp_path_factory):
    return load_filled("edge_sam", "edge_sam", shared, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared / "parity" / "edge_sam_20992.npz")


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_has_its_official_name(name, shared):
    official = read_json(shared / "parity" / "edge_sam.keys.json")
    with torch.device("meta"):
        module = sam_around(EdgeSamEncoder(**adapters.card(name).architecture))
    own = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
    assert own == {key: shape for key, (shape, *_) in official.items()}


def test_equals_official_outputs(filled, recorded, photo):
    check_recorded(filled, recorded, photo)


def test_equals_official_stability_scores(filled, recorded, photo):
    embedding = filled.encode(photo)
    for kind in ("box", "point1", "point3"):
        stability = filled.decode(embedding, recorded_prompts(recorded, kind)).stability()
        np.testing.assert_allclose(stability[0, 1:], recorded[f"{kind}_stability_scores"], atol=1e-4)


def test_no_normalisation_is_left_to_compute(filled):
    left = [type(part).__name__ for part in filled.module.modules() if "BatchNorm" in type(part).__name__]
    assert not left
