"""The short decoder gives what segment_anything's own gives, for every kind of prompt."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from adapters.sam_like.decoder import SAM_DIALECT, TwoWayDecoder


@pytest.fixture(scope="module")
def parts() -> tuple[PromptEncoder, MaskDecoder, torch.Tensor]:
    """Return SAM's prompt encoder, mask decoder and an image embedding, random but fixed."""
    torch.manual_seed(3)
    encoder = PromptEncoder(256, (64, 64), (1024, 1024), mask_in_chans=16).eval()
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer).eval()
    for parameter in [*decoder.parameters(), *encoder.parameters()]:
        parameter.data += 0.02 * torch.randn_like(parameter)
    return encoder, decoder, torch.randn(1, 256, 64, 64)


def prompts_of(kind: str, count: int) -> dict[str, object]:
    """Return prompts as segment_anything's prompt encoder takes them."""
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, 2, generator=generator).mul(1000).sort(dim=1).values
    clicks = int(kind[-1]) if kind[-1].isdigit() else 1
    points = torch.rand(count, clicks, 2, generator=generator).mul(1000)
    labels = torch.randint(-1, 2, (count, clicks), generator=generator)
    masks = torch.randn(count, 1, 256, 256, generator=generator) if kind == "mask" else None
    boxes = corners.view(count, 4) if kind == "box" else None
    return {"points": None if kind == "box" else (points, labels), "boxes": boxes, "masks": masks}


def both(parts, kind: str, count: int, dtype: torch.dtype):
    """Return logits and scores of the official decoder and of ours."""
    encoder = parts[0]
    decoder, features = copy.deepcopy(parts[1]).to(dtype), parts[2].to(dtype)
    with torch.inference_mode():
        embedded = (*encoder(**prompts_of(kind, count)), encoder.get_dense_pe())
        sparse, dense, positional = (part.to(dtype) for part in embedded)
        official = decoder.predict_masks(features, positional, sparse, dense)
        short = TwoWayDecoder(decoder, positional, SAM_DIALECT)
        side = short.image_side(features + (dense if kind == "mask" else dense[:1]))
        attended = short.attend(side, sparse)
        return official, (short.upscale(attended, range(4)), attended.scores), (short, attended)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", ["box", "points1", "points3", "points7", "mask"])
def test_equals_segment_anything(parts, kind, count):
    official, ours, _ = both(parts, kind, count, torch.float32)
    torch.testing.assert_close(ours[0], official[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours[1], official[1], rtol=1e-5, atol=1e-5)


def test_the_algebra_is_exact(parts):
    """In double precision nothing is left of the difference: it was rounding."""
    official, ours, _ = both(parts, "points3", 2, torch.float64)
    torch.testing.assert_close(ours[0], official[0], rtol=0, atol=1e-11)


def test_only_the_masks_asked_for(parts):
    _, (logits, _), (short, attended) = both(parts, "box", 2, torch.float32)
    with torch.inference_mode():
        some = short.upscale(attended, [0, 2])
    torch.testing.assert_close(some, logits[:, [0, 2]], rtol=1e-5, atol=1e-5)


def test_a_prompt_alone_equals_the_prompt_in_a_batch(parts):
    encoder, decoder, features = parts
    with torch.inference_mode():
        sparse, dense = encoder(**prompts_of("points3", 5))
        short = TwoWayDecoder(decoder, encoder.get_dense_pe(), SAM_DIALECT)
        side = short.image_side(features + dense[:1])
        together = short.attend(side, sparse).scores
        alone = torch.cat([short.attend(side, row[None]).scores for row in sparse])
    np.testing.assert_allclose(alone, together, atol=1e-5)
