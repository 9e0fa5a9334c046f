"""Opening checkpoints runs no code of theirs."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from adapters.cards import card
from adapters.errors import InputError
from adapters.state_dict import read, read_pickled_module, seeded


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
    for reader in (read, read_pickled_module):
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


def test_random_weights_are_the_same_and_leave_the_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (seeded(lambda: nn.Linear(4, 4)).weight for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
