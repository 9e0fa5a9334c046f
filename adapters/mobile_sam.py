"""MobileSAM: a TinyViT image encoder with SAM's prompt encoder and mask decoder."""

from __future__ import annotations

import re

from timm.models.tiny_vit import TinyVit
from torch import Tensor, nn

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam import neck, sam_around, with_sam_decoder
from adapters.sam_like.adapter import SamLike
from adapters.state_dict import fill, seeded


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build a MobileSAM with the TinyViT its card describes."""
    bare = seeded(lambda: sam_around(TinyViTEncoder(card.architecture)))
    model = fill(bare, card, weights, official_name)
    return with_sam_decoder(card, weights, device, dtype, model.to(device))


class TinyViTEncoder(nn.Module):
    """timm's TinyViT with SAM's neck: (1, 3, 1024, 1024) -> (1, 256, 64, 64).

    The last stage keeps the resolution (tiny_vit_sam.py, PatchMerging). The classification head isn't used; it is
    there because the checkpoint has it.
    """

    def __init__(self, architecture: dict[str, list[int]]) -> None:
        super().__init__()
        self.trunk = TinyVit(drop_path_rate=0.0, **architecture)
        self.trunk.stages[-1].downsample.conv2.conv.stride = (1, 1)
        self.img_size = 1024  # asked for by segment_anything's Sam and SamPredictor
        width = architecture["embed_dims"][-1]
        self.neck = neck(width)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.neck(self.trunk.stages(self.trunk.patch_embed(pixels)))
        return features


def official_name(name: str) -> str:
    """Return the name in mobile_sam.pt of a tensor of this module.

    There a stage ends with the downsampling that begins timm's next one, and modules have other names.
    """
    if not name.startswith("image_encoder.trunk."):
        return name
    name = name.replace("image_encoder.trunk.", "image_encoder.")
    name = re.sub(r"stages\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
    name = re.sub(r"patch_embed\.conv(\d)", lambda found: f"patch_embed.seq.{2 * int(found[1]) - 2}", name)
    for own, official in (("stages.", "layers."), (".conv.", ".c."), ("head.norm", "norm_head"), ("head.fc", "head")):
        name = name.replace(own, official)
    return name
