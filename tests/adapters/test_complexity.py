"""Counted operations against formulas written by hand from the architectures, and against published counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import adapters
from adapters.complexity import complexity, count
from adapters.errors import InputError

PATCHES, PROMPT = 64 * 64, 256


def test_a_convolution():
    flops, attention = count(lambda: nn.Conv2d(3, 8, 5, stride=2, padding=2, groups=1)(torch.zeros(2, 3, 20, 30)))
    assert (flops, attention) == (2 * 2 * 8 * 10 * 15 * 3 * 25, 0)


def test_a_linear_layer():
    assert count(lambda: nn.Linear(7, 11)(torch.zeros(5, 13, 7))) == (2 * 5 * 13 * 7 * 11, 0)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_is_counted_whichever_kernel_would_run(device):
    heads, queries, keys, width = 4, 60, 80, 16
    q, k = torch.zeros(1, heads, queries, width, device=device), torch.zeros(1, heads, keys, width, device=device)
    products = 2 * 2 * heads * queries * keys * width
    assert count(lambda: F.scaled_dot_product_attention(q, k, k)) == (products, products)


def neck(width):
    return PATCHES * (width * 256 + 9 * 256 * 256)


def vit_macs(width, depth, with_global, window):
    """Return the MACs of SAM's ViT: (outside attention's products, in them), and those of the relative positions."""
    padded = -(-64 // window) * window
    linear = PATCHES * 3 * 16 * 16 * width + neck(width)
    products = relative = 0
    for block in range(depth):
        tokens, side = (PATCHES, 64) if block in with_global else (padded**2, window)
        linear += tokens * 4 * width**2 + PATCHES * 8 * width**2
        products += 2 * tokens * side**2 * width
        relative += 2 * tokens * side * width
    return linear, products, relative


@pytest.mark.parametrize(
    ("name", "width", "depth", "with_global"),
    [("sam_vit_b", 768, 12, (2, 5, 8, 11)), ("sam_vit_h", 1280, 32, (7, 15, 23, 31))],
)
def test_sam(name, width, depth, with_global):
    found = complexity(name)
    linear, products, relative = vit_macs(width, depth, with_global, 14)
    assert found.encoder_macs == linear + products + relative
    assert found.encoder_attention_macs == products + relative
    assert found.encoder_flops == 2 * found.encoder_macs
    assert found.decoder_macs == decoder_macs(prompt_tokens=2)


def test_mobile_sam():
    linear = 512**2 * 27 * 32 + 256**2 * 9 * 32 * 64
    linear += 2 * 256**2 * (2 * 64 * 256 + 9 * 256)
    linear += merging(64, 128, 256, 128) + merging(128, 160, 128, 64) + merging(160, 320, 64, 64)
    products = 0
    for width, depth, side, window in ((128, 2, 128, 7), (160, 6, 64, 14), (320, 2, 64, 7)):
        padded = (-(-side // window) * window) ** 2
        linear += depth * (padded * 4 * width**2 + side**2 * (8 * width**2 + 9 * width))
        products += depth * 2 * padded * window**2 * width
    found = complexity("mobile_sam")
    assert found.encoder_macs == linear + neck(320) + products
    assert found.encoder_attention_macs == products
    assert found.decoder_macs == decoder_macs(prompt_tokens=2)


def merging(narrow, wide, before, after):
    """Return TinyViT's downsampling: a point-wise, a depth-wise, a point-wise convolution."""
    return before**2 * narrow * wide + after**2 * (9 * wide + wide**2)


def repvit_macs(widths, depths, sides):
    """Return the MACs of a RepViT as it runs: what is normalised or runs beside in training is in its convolutions."""
    first = widths[0]
    macs = 512**2 * 27 * first // 2 + 256**2 * 9 * first // 2 * first
    for stage, (width, depth, side) in enumerate(zip(widths, depths, sides, strict=True)):
        mixed = 4 * width**2
        squeezed = (width // 4 + 4) // 8 * 8  # a quarter, to the nearest multiple of 8
        macs += depth * side**2 * (9 * width + mixed) + depth // 2 * 2 * width * squeezed
        if stage:
            before = widths[stage - 1]
            macs += side**2 * (9 * before + before * width + mixed)
    return macs


EDGE_SAM = ((48, 96, 192, 384), (3, 3, 15, 2), (256, 128, 64, 32))


@pytest.mark.parametrize("name", ["edge_sam", "edge_sam_3x"])
def test_edge_sam(name):
    found = complexity(name)
    added_up = 64**2 * 192 * 256 + 32**2 * 384 * 256
    assert found.encoder_macs == repvit_macs(*EDGE_SAM) + added_up + neck(256)
    assert found.encoder_attention_macs == 0
    assert found.decoder_macs == decoder_macs(prompt_tokens=2)


def test_repvit_sam():
    found = complexity("repvit_sam")
    assert found.encoder_macs == repvit_macs((80, 160, 320, 640), (7, 7, 35, 2), (256, 128, 64, 64)) + neck(640)
    assert found.decoder_macs == decoder_macs(prompt_tokens=2)


@pytest.mark.parametrize(("name", "width"), [("efficient_sam_ti", 192), ("efficient_sam_s", 384)])
def test_efficient_sam(name, width):
    found = complexity(name)
    linear, products, _ = vit_macs(width, 12, range(12), 64)
    assert found.encoder_macs == linear + products
    assert found.decoder_macs == decoder_macs(prompt_tokens=6)


def decoder_macs(prompt_tokens):
    """Return the MACs of SAM's mask decoder: self-attention, cross-attention both ways, MLP, upscaling, heads."""
    tokens, half = 5 + prompt_tokens, PROMPT // 2
    own = 4 * tokens * PROMPT**2 + 2 * tokens**2 * PROMPT
    crossed = 2 * (tokens + PATCHES) * PROMPT * half + 2 * tokens * PATCHES * half
    transformer = 2 * (own + 2 * crossed + 2 * tokens * PROMPT * 2048) + crossed
    upscaling = PATCHES * 4 * PROMPT * 64 + 4 * PATCHES * 4 * 64 * 32
    masks = 4 * (2 * PROMPT**2 + PROMPT * 32) + 4 * 32 * 16 * PATCHES
    return transformer + upscaling + masks + 2 * PROMPT**2 + PROMPT * 4


@pytest.mark.parametrize(("name", "leading"), [("sam2.1_hiera_tiny", 1), ("tap_vit_b", 4)])
def test_a_decoder_with_tokens_before_its_own(name, leading):
    """SAM 2's object score and TAP's semantic tokens go through the transformer, and have no heads here."""
    assert complexity(name).decoder_macs == decoder_macs(prompt_tokens=leading + 2)


@pytest.mark.parametrize("name", ["sam_vit_b", "mobile_sam", "efficient_sam_ti", "edge_sam", "repvit_sam"])
def test_parameters_add_up_to_the_card(name):
    found = complexity(name)
    assert found.parameters == adapters.card(name).parameters == found.encoder_parameters + found.decoder_parameters


def test_published_counts():
    """EfficientViT-SAM's table 1 has attention in, SlimSAM's has it out; both in units of 10^9 MACs."""
    sam, small = complexity("sam_vit_h"), complexity("efficient_sam_s")
    assert sam.encoder_macs / 1e9 == pytest.approx(2973, rel=0.003)
    assert (sam.encoder_macs - sam.encoder_attention_macs) / 1e9 == pytest.approx(2736, rel=0.003)
    assert (small.encoder_macs + small.decoder_macs) / 1e9 == pytest.approx(247, abs=0.5)
    assert (small.encoder_macs - small.encoder_attention_macs) / 1e9 == pytest.approx(94, rel=0.035)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("edge_sam", 20),
        ("mobile_sam", 39),
        ("efficientvit_sam_l0", 35),
        ("efficientvit_sam_l1", 49),
        ("efficientvit_sam_l2", 69),
        ("efficientvit_sam_xl0", 185),
        ("efficientvit_sam_xl1", 322),
    ],
)
def test_encoders_published_with_efficientvit_sam(name, published):
    """Table 1 of its paper, in whole units of 10^9 MACs."""
    assert round(complexity(name).encoder_macs / 1e9) == published


def test_counts_published_with_edge_sam():
    """Its README's table has encoder and decoder in, products of two activations out, in units of 10^9 MACs.

    And two operations for every number that is normalised, in the network as it is trained: there each stage's token
    mixers have a second convolution, and everything that a convolution gives is normalised.
    """
    edge, mobile, sam = complexity("edge_sam"), complexity("mobile_sam"), complexity("sam_vit_h")
    beside, normalised = 0, 512**2 * 24 + 256**2 * 48
    for width, depth, side, before in zip(*EDGE_SAM, (0, 48, 96, 192), strict=True):
        beside += depth * side**2 * width
        normalised += side**2 * (depth * 5 * width + (before + 4 * width if before else 0))
    assert (layers(edge) + beside + 2 * normalised) / 1e9 == pytest.approx(22.1, abs=0.05)
    assert layers(mobile) / 1e9 == pytest.approx(38.2, rel=0.01)
    assert layers(sam) / 1e9 == pytest.approx(2734.8, rel=0.001)


def layers(found):
    """Return the MACs of encoder and decoder without products of two activations."""
    tokens = 7
    products = 4 * tokens**2 * PROMPT + 5 * tokens * PATCHES * PROMPT + 4 * 32 * 16 * PATCHES
    return found.encoder_macs - found.encoder_attention_macs + found.decoder_macs - products


def test_a_detector_has_all_its_operations_in_the_encoder():
    pytest.importorskip("ultralytics")
    found = complexity("yolov8n_seg")
    assert found.parameters == found.encoder_parameters == adapters.card("yolov8n_seg").parameters
    assert (found.decoder_parameters, found.decoder_flops) == (0, 0)
    published = 12.6e9  # FLOPs at 640 x 640, Ultralytics' table of YOLOv8-seg
    assert found.encoder_flops == pytest.approx(published * (1024 / 640) ** 2, rel=0.06)


def test_what_has_no_network_is_refused():
    with pytest.raises(InputError, match="no network"):
        complexity("grabcut")
    with pytest.raises(InputError, match="did you mean 'mobile_sam'"):
        complexity("mobilesam")
