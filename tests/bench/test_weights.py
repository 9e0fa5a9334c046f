"""sambench weights convert: a pickle becomes a file of tensors that goes by the published file's hash."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from adapters.cards import Checkpoint, ModelCard, card
from adapters.checkpoints import cached_path, resolve
from adapters.converted import convert
from adapters.download import fetch
from adapters.errors import InputError
from adapters.state_dict import stored

ARRAYS = {"a": np.arange(6.0, dtype="f4").reshape(2, 3), "b": np.array(2, dtype="i8")}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Give every test a cache of its own."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path) -> Path:
    """Write a pickle of arrays, as TAP's checkpoints are."""
    path = tmp_path / "downloads" / "arrays.pkl"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(ARRAYS))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def a_card(**checkpoint: object) -> ModelCard:
    facts = {"url": "http://127.0.0.1:9/arrays.pkl", "pickled": "arrays", **checkpoint}
    return card("tap_vit_b").model_copy(update={"name": "thing", "checkpoint": Checkpoint(**facts)})


def test_a_converted_file_goes_by_the_published_one_s_hash(file, cache):
    chosen = a_card(sha256=digest(file))
    path = convert(chosen, resolve(chosen, file))
    assert path == cached_path(chosen) == cache / "weights" / "arrays.safetensors"
    weights = resolve(chosen)
    assert (weights.identity, weights.official, weights.path) == (digest(file), True, path)
    assert fetch(chosen) == weights
    for name, tensor in stored(chosen, weights).items():
        np.testing.assert_array_equal(tensor.numpy(), ARRAYS[name])
        assert tensor.numpy().dtype == ARRAYS[name].dtype
    with safe_open(path, "pt") as opened:
        said = opened.metadata()
    assert (said["source"], said["source_sha256"], said["model"]) == ("arrays.pkl", digest(file), "thing")
    assert list((cache / "weights").iterdir()) == [path]


def test_it_may_be_moved_but_not_changed(file, tmp_path):
    chosen = a_card(sha256=digest(file))
    path = convert(chosen, resolve(chosen, file))
    moved = path.rename(tmp_path / "elsewhere.safetensors")
    assert resolve(chosen, moved).identity == digest(file)
    content = bytearray(moved.read_bytes())
    content[-1] ^= 1
    moved.write_bytes(content)
    with pytest.raises(InputError, match="wrong hash"):
        resolve(chosen, moved)
    assert resolve(chosen, moved, allow_unknown_hash=True).identity == digest(moved)


def test_what_a_file_says_of_itself_proves_nothing(file, monkeypatch, tmp_path):
    chosen = a_card(sha256=digest(file))
    path = convert(chosen, resolve(chosen, file))
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "another machine's"))
    with pytest.raises(InputError, match="wrong hash"):
        resolve(chosen, path)


def test_a_file_without_a_published_hash_needs_the_flag_before_and_after(file):
    chosen = a_card()
    with pytest.raises(InputError, match="no hash is published"):
        resolve(chosen, file)
    path = convert(chosen, resolve(chosen, file, allow_unknown_hash=True))
    with pytest.raises(InputError, match=f"no hash is published for it .this file's sha256 is {digest(file)}"):
        resolve(chosen, path)
    weights = resolve(chosen, path, allow_unknown_hash=True)
    assert (weights.identity, weights.official) == (digest(file), False)


def test_a_git_blob_proves_the_converted_file_too(file):
    blob = subprocess.run(["git", "hash-object", file], capture_output=True, text=True, check=True).stdout.strip()
    chosen = a_card(git_blob=blob)
    assert resolve(chosen, convert(chosen, resolve(chosen, file))).official


def test_the_original_in_the_cache_goes_first(file, cache):
    chosen = a_card(sha256=digest(file))
    convert(chosen, resolve(chosen, file))
    original = cache / "weights" / "arrays.pkl"
    original.write_bytes(file.read_bytes())
    assert cached_path(chosen) == original


def test_what_is_no_checkpoint_leaves_nothing_behind(tmp_path, cache):
    (tmp_path / "arrays.pkl").write_bytes(b"not a pickle")
    with pytest.raises(InputError, match="can't be read as a pickle of arrays"):
        convert(a_card(), resolve(a_card(), tmp_path / "arrays.pkl", allow_unknown_hash=True))
    assert not cache.exists() or not any(path.is_file() for path in cache.rglob("*"))


def test_a_published_page_is_for_hands(cache):
    with pytest.raises(InputError, match=r"SlimSAM-77.pth is to be downloaded by hand from https://drive"):
        fetch(card("slim_sam_77"), allow_unknown_hash=True)
    assert cached_path(card("slim_sam_77")) == cache / "weights" / "SlimSAM-77.pth"


def sambench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "weights", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command(tmp_path, cache):
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(3))
    file = tmp_path / "SlimSAM-77.pth"
    torch.save(module, file)
    refused = sambench("convert", "slim_sam_77", file)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "no hash is published" in refused.stderr
    done = sambench("convert", "slim_sam_77", file, "--allow-unknown-hash")
    assert done.returncode == 0, done.stderr
    path = cache / "weights" / "SlimSAM-77.safetensors"
    assert str(path) in done.stdout
    assert digest(file)[:12] in done.stdout
    weights = resolve(card("slim_sam_77"), None, allow_unknown_hash=True)
    torch.testing.assert_close(stored(card("slim_sam_77"), weights), dict(module.state_dict()))
    again = sambench("convert", "slim_sam_77", path, "--allow-unknown-hash")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "safetensors already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grabcut", "x.pth"], "has no weights"),
        (["slim_sam_7", "x.pth"], "did you mean"),
        (["slim_sam_77", "nowhere.pth"], "no checkpoint at nowhere.pth"),
    ],
)
def test_mistakes_get_one_line(arguments, said):
    done = sambench("convert", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
