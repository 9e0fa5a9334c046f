"""EdgeSAM: a RepViT image encoder whose last two stages are added up, with SAM's prompt encoder and mask decoder.

Source: chongzhou96/EdgeSAM@b53372c, edge_sam/modeling/rep_vit.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.repvit_sam import fused, repvit
from adapters.sam import neck, sam_around, with_sam_decoder
from adapters.sam_like.adapter import SamLike
from adapters.state_dict import fill, seeded


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build an EdgeSAM with the RepViT its card describes."""
    bare = seeded(lambda: sam_around(EdgeSamEncoder(**card.architecture)))
    return fused(with_sam_decoder(card, weights, device, dtype, fill(bare, card, weights).to(device)))


class EdgeSamEncoder(nn.Module):
    """(1, 3, 1024, 1024) -> (1, 256, 64, 64): the last stage is brought back to the resolution of the one before.

    Its modules have the official names, which count stages from 0.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.img_size = 1024  # asked for by segment_anything's Sam and SamPredictor
        self.features = repvit(widths, depths, strides=(2, 2, 2), legacy=True)
        self.last_stage = len(self.features) - depths[-1] - 1
        *_, fine, coarse = (nn.Conv2d(width, 256, kernel_size=1, bias=False) for width in widths)
        enlarged = nn.Sequential(coarse, nn.Upsample(scale_factor=2, mode="bicubic"))
        self.fuse_stage2, self.fuse_stage3 = fine, nn.Sequential(OrderedDict(op_list=enlarged))
        self.neck = neck(256)

    def forward(self, pixels: Tensor) -> Tensor:
        fine = self.features[: self.last_stage](pixels)
        coarse = self.features[self.last_stage :](fine)
        features: Tensor = self.neck(self.fuse_stage2(fine) + self.fuse_stage3(coarse))
        return features
