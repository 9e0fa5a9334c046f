"""Opening checkpoints runs no code of theirs."""

from __future__ import annotations

import argparse
import pickle
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adapters.cards import card
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.state_dict import KeysError, load_strictly, read, read_pickled_arrays, read_pickled_module, seeded, stored


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "harm")


class Network(nn.Module):
    """A module of a class that a reader doesn't have."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_a_state_dict_with_code_in_it_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1), "x": Malicious(tmp_path / "harm")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="holds more than tensors"):
        read(tmp_path / "model.pt", card("mobile_sam"))
    assert not (tmp_path / "harm").exists()


def test_a_pickled_module_with_code_in_it_runs_nothing(tmp_path):
    torch.save({"model": Network(), "train_args": Malicious(tmp_path / "harm")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="can't be read as a pickled module"):
        read_pickled_module(tmp_path / "model.pt", card("fast_sam_s"))
    assert not (tmp_path / "harm").exists()


def test_a_pickled_module_gives_its_tensors(tmp_path):
    network = Network()
    torch.save({"model": network, "train_args": argparse.Namespace(epochs=3)}, tmp_path / "model.pt")
    state = read_pickled_module(tmp_path / "model.pt", card("fast_sam_s"))
    assert state.keys() == network.state_dict().keys()
    torch.testing.assert_close(state["layers.0.weight"], network.layers[0].weight.detach())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_file_gets_one_line(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    for reader in (read, read_pickled_module, read_pickled_arrays):
        with pytest.raises(InputError) as caught:
            reader(path, card("mobile_sam"))
        assert "\n" not in str(caught.value)


def test_something_else_than_a_state_dict_gets_one_line(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "model.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        read(tmp_path / "model.pt", card("mobile_sam"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_in_a_zip_and_under_a_key(tmp_path, zipped):
    plain = tmp_path / "efficient_sam_vits.pt"
    torch.save({"model": {"weight": torch.arange(3.0)}}, plain)
    path = plain
    if zipped:
        path = tmp_path / "efficient_sam_vits.pt.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(plain, plain.name)
    torch.testing.assert_close(read(path, card("efficient_sam_s"))["weight"], torch.arange(3.0))


def test_a_counter_that_evaluation_never_reads_may_be_missing_or_left_over():
    norm, plain = nn.BatchNorm2d(2), nn.Linear(2, 2)
    state = {name: tensor + 1 for name, tensor in norm.state_dict().items() if name != "num_batches_tracked"}
    load_strictly(norm, state, lambda name: name)
    torch.testing.assert_close(norm.running_var, torch.full((2,), 2.0))
    load_strictly(plain, {**plain.state_dict(), "norm.num_batches_tracked": torch.tensor(3)}, lambda name: name)
    del state["running_var"]
    with pytest.raises(KeysError, match="1 keys missing: running_var"):
        load_strictly(norm, state, lambda name: name)


def test_random_weights_are_the_same_and_leave_the_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (seeded(lambda: nn.Linear(4, 4)).weight for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


ARRAYS = {
    "half": np.arange(6, dtype="f2").reshape(2, 3),
    "single": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">f8"),
    "whole": np.arange(4),
    "flags": np.array([True, False]),
    "number": np.array(3.5, dtype="f4"),
}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_a_pickle_of_arrays_gives_its_tensors(tmp_path, protocol, kind):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(kind(ARRAYS), protocol))
    state = read_pickled_arrays(path, card("tap_vit_b"))
    assert state.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(state[name].numpy(), array)
        assert state[name].numpy().dtype == array.dtype.newbyteorder("=")


def test_a_pickle_of_arrays_as_older_numpy_writes_it(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(ARRAYS, 2).replace(b"numpy._core", b"numpy.core"))
    assert read_pickled_arrays(path, card("tap_vit_b"))["whole"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["value", "beside", "object"])
def test_a_pickle_of_arrays_with_code_in_it_is_refused_and_runs_nothing(tmp_path, protocol, place):
    hostile = Malicious(tmp_path / "harm")
    content = {
        "value": {"weight": np.zeros(1), "x": hostile},
        "beside": [hostile, {"weight": np.zeros(1)}],
        "object": {"weight": np.array([hostile], dtype=object)},
    }[place]
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=r"tap_vit_b: .*model.pkl holds more than arrays: it names ") as caught:
        read_pickled_arrays(path, card("tap_vit_b"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("named", ["os.system", "builtins.exec", "numpy.load", "numpy.core.multiarray.fromfile"])
def test_whatever_else_a_pickle_names_is_told(tmp_path, named):
    path = tmp_path / "model.pkl"
    path.write_bytes("c{}\n{}\n(S'touch harm'\ntR.".format(*named.rsplit(".", 1)).encode())
    with pytest.raises(InputError, match=f"it names {named}$"):
        read_pickled_arrays(path, card("tap_vit_b"))


@pytest.mark.parametrize("content", [[np.zeros(1)], {"a": 1}, {"a": "text"}, {"a": np.array(["text"])}, {"a": None}])
def test_something_else_than_arrays_by_name_gets_one_line(tmp_path, content):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"tap_vit_b: .*model.pkl holds") as caught:
        read_pickled_arrays(path, card("tap_vit_b"))
    assert "\n" not in str(caught.value)


def test_an_array_shorter_than_it_says_gets_one_line(tmp_path):
    path = tmp_path / "model.pkl"
    content = pickle.dumps({"a": np.zeros(4, "f4")}, 2).replace(b"K\x04\x85", b"K\x40\x85")
    path.write_bytes(content)
    with pytest.raises(InputError, match="can't be read as a pickle of arrays"):
        read_pickled_arrays(path, card("tap_vit_b"))


def test_a_method_that_was_set_on_an_object_is_not_run(tmp_path):
    """Such a method is pickled as a call of getattr, which a shell takes the place of like any other."""
    network = Network()
    network.forward = types.MethodType(Network.forward, network)
    torch.save(nn.DataParallel(network), tmp_path / "model.pt")
    state = read_pickled_module(tmp_path / "model.pt", card("fast_sam_s"))
    assert state.keys() == {f"module.{name}" for name in network.state_dict()}


def test_safetensors_are_read_for_any_model(tmp_path):
    state = {"weight": torch.arange(3.0)}
    save_file(state, tmp_path / "model.safetensors")
    for name in ("mobile_sam", "fast_sam_s", "tap_vit_b"):
        found = stored(card(name), Weights("0" * 64, tmp_path / "model.safetensors"))
        torch.testing.assert_close(found, state)


def test_damaged_safetensors_get_one_line(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"mobile_sam: .* can't be read as safetensors"):
        stored(card("mobile_sam"), Weights("0" * 64, tmp_path / "model.safetensors"))
