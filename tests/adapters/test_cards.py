"""Cards say what is true of the models they describe."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import adapters
from adapters.cards import cards
from adapters.checkpoints import RANDOM, Weights
from adapters.errors import InputError
from tests.conftest import read_json

LARGE = 150_000_000
COUNTED = {
    name: cards()[name].parameters
    for name in adapters.names()
    if cards()[name].parameters is not None and not cards()[name].parts
}
"""What is made of others is held to their sum in test_words.py."""


@pytest.mark.parametrize("name", [name for name, count in COUNTED.items() if count < LARGE])
def test_parameters_are_counted_right(name):
    """The large ones are too large for every test run; they are counted without memory below."""
    if cards()[name].family == "fast_sam" and importlib.util.find_spec("ultralytics") is None:
        pytest.skip("ultralytics isn't installed")
    assert adapters.load(name, "random").parameters() == cards()[name].parameters


@pytest.mark.parametrize("name", [name for name, count in COUNTED.items() if count >= LARGE])
def test_parameters_of_the_large_ones(name):
    import torch

    if cards()[name].family == "grounding_dino":
        pytest.importorskip("transformers")
    with torch.device("meta"):
        adapter = adapters.family(name).build(cards()[name], Weights(RANDOM), "meta", "fp32")
    assert adapter.parameters() == cards()[name].parameters


def test_checkpoints_are_the_published_ones(shared):
    published = read_json(shared / "reference" / "checkpoints.json")["checkpoints"]
    for name, facts in published.items():
        checkpoint = cards()[name].checkpoint
        assert checkpoint.url == facts["url"]
        assert checkpoint.sha256 == facts["sha256"]
        assert checkpoint.git_blob in (facts.get("git_blob"), None)
        assert checkpoint.bytes in (facts.get("bytes"), None)
        if "package" in facts:
            assert checkpoint.package.requirement == facts["package"]["requirement"]
            assert checkpoint.package.member == facts["package"]["member"]


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(InputError, match="unknown model 'mobilesam': did you mean 'mobile_sam'"):
        adapters.load("mobilesam")


@pytest.mark.parametrize("package", ["adapters", "bench", "bench.cli"])
def test_importing_a_package_does_not_import_torch(package):
    code = f"import sys, {package}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_fast_sam_imports_ultralytics():
    from pathlib import Path

    root = Path(adapters.__file__).parents[1]
    files = [path for folder in ("adapters", "bench") for path in (root / folder).rglob("*.py")]
    importing = [path.name for path in files if "import ultralytics" in path.read_text() or
                 "from ultralytics" in path.read_text()]  # fmt: skip
    assert importing == ["fast_sam.py"]


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cpu:0", "cuda:99"])
def test_devices_that_are_not_there(device):
    with pytest.raises(InputError, match="device"):
        adapters.load("grabcut", device=device)
