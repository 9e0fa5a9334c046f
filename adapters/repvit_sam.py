"""RepViT-SAM: a RepViT image encoder with SAM's prompt encoder and mask decoder; RepViT's blocks, for EdgeSAM too.

Source: THU-MIG/RepViT@298f420, sam/repvit_sam/modeling/repvit.py. The layers are timm's, under their
official names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from timm.layers import SqueezeExcite
from timm.models.repvit import ConvNorm, RepVggDw
from timm.utils import reparameterize_model
from torch import Tensor, nn

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam import neck, sam_around, with_sam_decoder
from adapters.sam_like.adapter import SamLike
from adapters.state_dict import fill, seeded


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build a RepViT-SAM with the RepViT its card describes."""
    bare = seeded(lambda: sam_around(RepVitEncoder(**card.architecture)))
    return fused(with_sam_decoder(card, weights, device, dtype, fill(bare, card, weights).to(device)))


class RepVitEncoder(nn.Module):
    """A RepViT whose last stage keeps the resolution, and SAM's neck: (1, 3, 1024, 1024) -> (1, 256, 64, 64)."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.img_size = 1024  # asked for by segment_anything's Sam and SamPredictor
        self.features = repvit(widths, depths, strides=(2, 2, 1))
        self.neck = neck(widths[-1])

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.neck(self.features(pixels))
        return features


def repvit(widths: Sequence[int], depths: Sequence[int], strides: Sequence[int], legacy: bool = False) -> nn.Sequential:
    """Return a RepViT without its head: a stem, (1, 3, S, S) -> (1, C, S/4, S/4), and then one layer for each block.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage, without the one that leads to it from the stage before. Every second of them
            squeezes and excites, from the first on, but never a stage's last.
        strides: of the blocks that lead from stage to stage.
        legacy: whether a token mixer's small convolution is normalised instead of the sum.
    """
    first = widths[0]
    layers: list[nn.Module] = [
        nn.Sequential(ConvNorm(3, first // 2, 3, 2, 1), nn.GELU(), ConvNorm(first // 2, first, 3, 2, 1))
    ]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            before = widths[stage - 1]
            spatial = ConvNorm(before, before, 3, strides[stage - 1], 1, groups=before)
            layers.append(_block(width, spatial, nn.Identity(), ConvNorm(before, width)))
        for index in range(depth):
            squeezes = index in range(0, depth - 1, 2)
            excite = SqueezeExcite(width, 0.25) if squeezes else nn.Identity()
            layers.append(_block(width, RepVggDw(width, 3, legacy), excite))
    return nn.Sequential(*layers)


def fused(adapter: SamLike) -> SamLike:
    """Take every normalisation, and every branch beside a convolution, into the convolution; only rounding differs.

    The parameters counted stay those of the checkpoint.
    """
    seeded(lambda: reparameterize_model(adapter.module, inplace=True)).eval().requires_grad_(False)
    return adapter


class _Residual(nn.Module):
    """Adds to its input what layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.m = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = features + self.m(features)
        return added


def _block(width: int, *token_mixer: nn.Module) -> nn.Sequential:
    mixed = _Residual(ConvNorm(width, 2 * width), nn.GELU(), ConvNorm(2 * width, width, bn_weight_init=0))
    return nn.Sequential(OrderedDict(token_mixer=nn.Sequential(*token_mixer), channel_mixer=mixed))
