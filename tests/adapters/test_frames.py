"""Frames do to images, prompts and masks what the official code does."""

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import nn
from torch.nn import functional as F

from adapters.sam_like.frames import LongestSide, Squash

SIZES = [(480, 640), (640, 427), (333, 500), (1024, 1024), (50, 1500)]


class _Encoder(nn.Module):
    img_size = 1024


@pytest.fixture(scope="module")
def official() -> Sam:
    """Return a Sam without networks: its preprocessing and postprocessing need none."""
    assert sam_model_registry
    return Sam(_Encoder(), nn.Identity(), nn.Identity())


def image_of(size):
    return np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_longest_side_prepares_as_sam_does(official, size):
    image = image_of(size)
    resized = ResizeLongestSide(1024).apply_image(image)
    expected = official.preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None].float())
    torch.testing.assert_close(LongestSide().prepare(image), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_longest_side_scales_points_as_sam_does(size):
    points = np.random.default_rng(2).uniform(0, 1, (20, 2)) * size[::-1]
    expected = ResizeLongestSide(1024).apply_coords(points, size)
    np.testing.assert_allclose(points * LongestSide().scale(size), expected, rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_longest_side_restores_as_sam_does(official, size):
    logits = torch.randn(2, 256, 256)
    input_size = ResizeLongestSide.get_preprocess_shape(*size, 1024)
    expected = official.postprocess_masks(logits[None], input_size, size)[0]
    torch.testing.assert_close(LongestSide().restore(logits, size), expected, rtol=0, atol=0)


def test_squash_prepares_as_efficient_sam_does():
    image = image_of((333, 500))
    pixels = torch.from_numpy(image / 255.0).permute(2, 0, 1)[None].float()
    squashed = F.interpolate(pixels, (1024, 1024), mode="bilinear")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (squashed - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(Squash().prepare(image), expected, rtol=0, atol=2e-6)


def test_squash_scales_each_axis_by_itself():
    np.testing.assert_allclose(Squash().scale((333, 500)), [1024 / 500, 1024 / 333])
