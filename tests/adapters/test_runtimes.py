"""Every runtime behind the prompt interface gives eager's answers; a small network stands for the large ones."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
import torch
from torch import nn

import adapters
from adapters import runtimes
from adapters.checkpoints import RANDOM, Weights
from adapters.errors import InputError
from adapters.everything import PROPOSALS, EverythingSettings
from adapters.prompts import Prompts
from adapters.runtimes import RUNTIMES, compiled, with_runtime
from adapters.sam import sam_around, with_sam_decoder

EXPORTED = {"onnxruntime": ("onnxruntime", "onnxscript"), "openvino": ("openvino", "onnxscript")}


def small_sam(dtype="fp32"):
    """Return SAM's own decoder behind an encoder of two convolutions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.BatchNorm2d(16), nn.GELU(), nn.Conv2d(16, 256, 2, 2))
        encoder.img_size = 1024
        model = sam_around(encoder).eval().requires_grad_(False)
    return with_sam_decoder(adapters.card("sam_vit_b"), Weights(RANDOM), "cpu", dtype, model)


def answers(adapter, image):
    """Return logits and scores for one, three and no prompts, and the boxes of what everything finds."""
    embedding = adapter.encode(image)
    asked = [
        Prompts.from_boxes([[10, 20, 200, 180]]),
        Prompts.from_boxes([[10, 20, 200, 180], [50, 60, 90, 300], [0, 0, 639, 479]]),
        Prompts.from_points([[[100, 100], [30, 40], [5, 5]]], [[1, 0, -1]]),
        Prompts.from_points(np.zeros((0, 1, 2)), np.zeros((0, 1))),
    ]
    found = [adapter.decode(embedding, prompts) for prompts in asked]
    settings = EverythingSettings(**{**vars(PROPOSALS), "points_per_side": 2})
    return [(own.logits.numpy(), own.scores) for own in found], len(adapter.everything(embedding, settings))


@pytest.fixture(scope="module")
def eager(scene):
    return answers(small_sam(), scene)


@pytest.fixture(scope="session")
def scene():
    return np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_answers_are_eagers(runtime, eager, scene, monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "eager")  # traced as always; generating code would take minutes
    for package in EXPORTED.get(runtime, ()):
        pytest.importorskip(package)
    adapter, seconds = with_runtime(small_sam(), runtime)
    assert set(seconds) == ({"encode", "decode"} if runtime in EXPORTED else set())
    given, proposals = answers(adapter, scene)
    for (logits, scores), (expected, expected_scores) in zip(given, eager[0], strict=True):
        assert logits.shape == expected.shape
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-3)
    assert proposals == eager[1]


@pytest.mark.parametrize("runtime", EXPORTED)
def test_what_an_exported_graph_cant_do_is_refused(runtime, scene):
    for package in EXPORTED[runtime]:
        pytest.importorskip(package)
    with pytest.raises(InputError, match=f"{runtime} computes in fp32 here, not in bf16"):
        with_runtime(small_sam("bf16"), runtime)
    with pytest.raises(InputError, match=f"grabcut: {runtime} is there for the SAM-like families alone"):
        with_runtime(adapters.load("grabcut"), runtime)


def test_exported_parts_refuse_batches_and_mask_prompts():
    from adapters.runtimes.exported import ExportedDecoder, ExportedEncoder

    decoder = small_sam().decoder
    with pytest.raises(InputError, match="one image at a time"):
        ExportedEncoder(None, decoder)(torch.zeros(2, 3, 1024, 1024))
    with pytest.raises(InputError, match="no earlier mask"):
        ExportedDecoder(None, decoder).image_side(torch.zeros(2, 256, 64, 64))


@pytest.mark.parametrize("runtime", ["compile", "channels_last"])
def test_a_model_without_a_network_is_refused(runtime):
    with pytest.raises(InputError, match=f"grabcut: it has no network for {runtime}"):
        with_runtime(adapters.load("grabcut"), runtime)


def test_unknown_and_missing_runtimes_get_one_line(monkeypatch):
    with pytest.raises(InputError, match="did you mean 'onnxruntime'"):
        runtimes.check("onnx")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'sambench\[openvino\]'"):
        runtimes.check("openvino")
    runtimes.check("eager")


def test_autocast_is_a_condition_of_the_same_adapter(scene):
    adapter = small_sam("bf16")
    eager = copy(adapter)
    eager.dtype = "fp32"
    box = Prompts.from_boxes([[10, 20, 200, 180]])
    logits = [own.decode(own.encode(scene), box).logits for own in (adapter, eager)]
    assert all(torch.isfinite(own).all() for own in logits)
    assert not torch.equal(*logits)
