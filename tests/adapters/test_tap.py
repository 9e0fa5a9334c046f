"""TAP: official names and outputs on deterministic weights, the notebook's choice of masks, a pickle of arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import adapters
from adapters.prompts import Prompts
from adapters.state_dict import KeysError
from adapters.tap import UNUSED, TapFrame, official_name
from tests.conftest import check_recorded, filled_state, read_json, recorded_prompts

KINDS = ("box", "point1", "point3")
COUNTED = ("rel_pos_embed.index", "num_batches_tracked")
"""What the fixture leaves out: tensors of whole numbers, which aren't learned."""


@pytest.fixture(scope="module")
def network():
    return adapters.load("tap_vit_b", "random").module


@pytest.fixture(scope="module")
def recorded(shared):
    return np.load(shared / "parity" / "tap_vit_b_20992.npz")


@pytest.fixture(scope="module")
def checkpoint(shared, network, tmp_path_factory):
    """Write the fixture's weights as they are published, with tensors that segmentation doesn't need."""
    state = {name: tensor.numpy() for name, tensor in filled_state("tap_vit_b", shared).items()}
    for name, tensor in network.state_dict().items():
        if name.endswith(COUNTED):
            state[name] = tensor.numpy()
    state["pixel_mean"] = state["pixel_rsig"] = np.ones(3, np.float32)
    state["text_decoder.encoder.weight"] = np.zeros((512, 256), np.float32)
    path = tmp_path_factory.mktemp("weights") / "tap_vit_b_v1_1.pkl"
    with path.open("wb") as file:
        pickle.dump(state, file)
    return path


@pytest.fixture(scope="module")
def tap(checkpoint):
    return adapters.load("tap_vit_b", checkpoint, allow_unknown_hash=True)


@pytest.fixture(scope="module")
def embedding(tap, photo):
    return tap.encode(photo)


def test_every_tensor_has_its_official_name(network, shared):
    official = read_json(shared / "parity" / "tap_vit_b.keys.json")
    own = {official_name(name): list(tensor.shape) for name, tensor in network.state_dict().items()}
    needed = {name: shape for name, (shape, _) in official.items() if not name.startswith(UNUSED)}
    assert {name: shape for name, shape in own.items() if not name.endswith(COUNTED)} == needed


def test_equals_official_outputs(tap, recorded, photo):
    check_recorded(tap, recorded, photo, first=0)


def test_takes_the_mask_that_the_official_notebook_takes(tap, embedding, recorded):
    for kind in KINDS:
        candidates = tap.decode(embedding, recorded_prompts(recorded, kind))
        assert candidates.best() == candidates.singles() == [recorded[f"{kind}_chosen_mask"]]


def test_each_prompt_of_a_batch_has_a_best_mask_of_its_own(tap, embedding):
    points = np.random.default_rng(0).uniform(0, 300, (16, 1, 2))
    candidates = tap.decode(embedding, Prompts.from_points(points, np.ones((16, 1))))
    penalised = candidates.scores - [1000, 0, 0, 0]
    np.testing.assert_array_equal(candidates.best(), penalised.argmax(1))
    np.testing.assert_array_equal(candidates.singles(), penalised.argmax(1))
    np.testing.assert_array_equal(candidates.masks("single", [3]), candidates.masks(candidates.best()[3], [3]))


def test_a_box_with_a_point_is_answered_as_a_box(tap, embedding):
    prompts = Prompts.from_boxes_and_points([[10, 10, 90, 90]], [[[50, 50]]], [[1]])
    assert tap.decode(embedding, prompts).best() == [0]


def test_the_picture_is_prepared_as_officially(recorded, photo):
    pixels = TapFrame().prepare(photo)
    np.testing.assert_allclose(pixels[0, :, -8:, -8:], recorded["input_corner_end"], atol=1e-6)
    np.testing.assert_allclose([pixels.mean(), pixels.std()], recorded["input_mean_std"], atol=1e-5)
    np.testing.assert_allclose(TapFrame().scale(photo.shape[:2]), recorded["image_scale"][0])


@pytest.mark.parametrize(
    ("size", "scale"),
    [((333, 500), 1024 / 500), ((500, 500), 1024 / 500), ((1000, 1001), 1024 / 1001), ((5000, 5001), 1024 / 5000)],
)
def test_the_scale_is_the_official_one_for_nearly_square_pictures_too(size, scale):
    """im_rescale resizes by the shorter side wherever the longer one then rounds to 1024."""
    np.testing.assert_array_equal(TapFrame().scale(size), [scale, scale])


def test_what_is_missing_is_listed(tmp_path):
    (tmp_path / "less.pkl").write_bytes(pickle.dumps({"text_decoder.x": np.zeros(1), "stranger": np.zeros(1)}))
    with pytest.raises(KeysError) as caught:
        adapters.load("tap_vit_b", tmp_path / "less.pkl", allow_unknown_hash=True)
    assert caught.value.unexpected == ["stranger"]
    assert "image_decoder.sem_tokens.weight" in caught.value.missing


@pytest.mark.parametrize(("name", "count"), [("tap_vit_l", 326223716), ("tap_vit_h", 662698724)])
def test_the_large_ones_are_as_large_as_the_official_code_s(name, count):
    assert adapters.card(name).parameters == count
