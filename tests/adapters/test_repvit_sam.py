"""RepViT-SAM: official names and shapes, and official masks on deterministic weights."""

from __future__ import annotations

import numpy as np
import torch

import adapters
from adapters.repvit_sam import RepVitEncoder
from adapters.sam import sam_around
from tests.conftest import check_recorded, load_filled, read_json


def test_every_tensor_has_its_official_name(shared):
    official = read_json(shared / "parity" / "repvit_sam.keys.json")
    with torch.device("meta"):
        module = sam_around(RepVitEncoder(**adapters.card("repvit_sam").architecture))
    own = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
    assert own == {key: shape for key, (shape, *_) in official.items()}


def test_equals_official_outputs(shared, photo, tmp_path):
    """The fixture is of the network as it is trained; here its normalisations are taken into its convolutions."""
    adapter = load_filled("repvit_sam", "repvit_sam", shared, tmp_path)
    check_recorded(adapter, np.load(shared / "parity" / "repvit_sam_20992.npz"), photo)
