"""SAM 2 and 2.1 on images: timm's Hiera, SAM's prompt encoder, and SAM's mask decoder with finer maps.

Source: facebookresearch/sam2@2b90b9f, sam2/sam2_image_predictor.py and sam2/modeling/. What only video needs is left
out, and so is the objectness score, which image mode doesn't use.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.hieradet_sam2 import HieraDet
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam import SamPromptEncoder, sam_around
from adapters.sam_like.adapter import SINGLE, SamCandidates, SamLike
from adapters.sam_like.decoder import SAM_DIALECT, Module, TwoWayDecoder
from adapters.sam_like.frames import Squash
from adapters.state_dict import fill, seeded

WIDTH = 256
DELTA, STABLE = 0.05, 0.98
"""The single mask is stable where it has at least this IoU at logits above +delta and above -delta (build_sam.py)."""

CLAMP = 32.0
"""Of logits that are given back as a prompt (sam2_image_predictor.py, _predict)."""

UNUSED = (
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_embed_spatial",
    "no_obj_ptr",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_mask_decoder.pred_obj_score_head.",
)
"""How the names of tensors begin that checkpoints hold for video, and of the objectness score's head."""


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> Sam2Adapter:
    """Build a SAM 2 with the Hiera its card describes."""
    model: Module = fill(seeded(lambda: Sam2(card.architecture)), card, weights, official_name, UNUSED).to(device)
    with torch.inference_mode():
        model.image_encoder.place()
        positional, leading = model.prompt_encoder.get_dense_pe(), model.mask_decoder.obj_score_token.weight
        decoder = TwoWayDecoder(model.mask_decoder, positional, SAM_DIALECT, leading, takes_finer=True)
    return Sam2Adapter(
        card,
        weights,
        device,
        dtype,
        module=model,
        encoder=model,
        prompt_encoder=Sam2PromptEncoder(model.prompt_encoder),
        decoder=decoder,
        frame=Squash(clip=False, antialias=True, back="bilinear"),
    )


class Sam2(nn.Module):
    """All parts, and as a function the encoder.

    (1, 3, 1024, 1024) -> (1, 256, 64, 64), (1, 128, 128, 64), (1, 256, 256, 32): the image's features, and rows of what
    the decoder adds to them at twice and at four times their resolution.
    """

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        sam: Module = sam_around(ImageEncoder(architecture))
        self.image_encoder, self.prompt_encoder, decoder = sam.image_encoder, sam.prompt_encoder, sam.mask_decoder
        decoder.obj_score_token = nn.Embedding(1, WIDTH)
        decoder.conv_s0, decoder.conv_s1 = nn.Conv2d(WIDTH, WIDTH // 8, 1), nn.Conv2d(WIDTH, WIDTH // 4, 1)
        decoder.iou_prediction_head.sigmoid_output = True
        self.mask_decoder: Module = decoder
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, WIDTH))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        finest, fine, features = self.image_encoder(pixels)
        *_, to_fine, to_finest = self.image_encoder.neck["convs"]
        once = pointwise(fine, to_fine["conv"], self.mask_decoder.conv_s1)
        twice = pointwise(finest, to_finest["conv"], self.mask_decoder.conv_s0)
        return features + self.no_mem_embed.view(1, -1, 1, 1), once, twice


class ImageEncoder(nn.Module):
    """A Hiera and the neck of its two coarser stages: pixels -> rows of strides 4 and 8, features of stride 16.

    The neck's finer two convolutions are left to whoever has what comes after them.
    """

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.img_size = 1024  # asked for by segment_anything's Sam
        self.trunk: Module = HieraDet(num_classes=0, **architecture)
        del self.trunk.head
        coarsest_first = [stage["num_chs"] for stage in reversed(self.trunk.feature_info)]
        lateral = (nn.ModuleDict({"conv": nn.Conv2d(width, WIDTH, 1)}) for width in coarsest_first)
        self.neck = nn.ModuleDict({"convs": nn.ModuleList(lateral)})

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Channels innermost from the start: what follows are rows. A sum is laid out as its first term is.
        patches = self.trunk.patch_embed(pixels.contiguous(memory_format=torch.channels_last))
        rows, stages = self.positions + patches, []
        for number, block in enumerate(self.trunk.blocks):
            rows = block(rows)
            if number in self.trunk.stage_ends:
                stages.append(rows)
        finest, fine, coarse, coarsest = stages
        convs: Module = self.neck["convs"]
        features = convs[1]["conv"](coarse.permute(0, 3, 1, 2))
        added = convs[0]["conv"](coarsest.permute(0, 3, 1, 2))
        return finest, fine, features + F.interpolate(added, scale_factor=2.0, mode="nearest")

    def place(self) -> None:
        """Lay out the positions of an image, which are always the same, from the weights."""
        stride, width = 4, self.trunk.pos_embed.shape[1]
        nothing = self.trunk.pos_embed.new_zeros(1, self.img_size // stride, self.img_size // stride, width)
        self.register_buffer("positions", self.trunk._pos_embed(nothing), persistent=False)


def pointwise(rows: Tensor, first: Module, second: Module) -> Tensor:
    """Apply two 1x1 convolutions with nothing in between, as one, to (1, h, w, C) rows."""
    weight = second.weight.flatten(1)
    return F.linear(rows, weight @ first.weight.flatten(1), weight @ first.bias + second.bias)


class Sam2PromptEncoder(SamPromptEncoder):
    """SAM's, but corners come before points, and a padding point after all, with a box too."""

    def sparse(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None) -> Tensor:
        parts = [] if boxes is None else [self.module._embed_boxes(boxes)]
        if points is not None:
            parts.append(self.module._embed_points(points, labels, pad=False))
        padding = self.module.not_a_point_embed.weight.expand(parts[0].shape[0], 1, -1)
        return torch.cat([*parts, padding], dim=1)


class Sam2Adapter(SamLike):
    """A SAM-like family that has another mask stand in for a single one that isn't stable."""

    def _candidates(self, logits: Tensor, scores: Tensor, image_size: tuple[int, int]) -> Sam2Candidates:
        return Sam2Candidates(logits, scores.cpu().numpy(), image_size, self)


class Sam2Candidates(SamCandidates):
    """Four masks for each prompt."""

    def singles(self) -> NDArray[np.intp]:
        """Return (N,) columns: 0, or where that mask isn't stable the best of the others, as build_sam2 has it.

        Source: sam2/modeling/sam/mask_decoder.py, _dynamic_multimask_via_stability. An empty mask is stable.
        """
        inner, outer = (torch.count_nonzero(self.logits[:, SINGLE] > level, dim=(1, 2)) for level in (DELTA, -DELTA))
        stable = (inner / outer).nan_to_num(1.0) >= STABLE
        return np.where(stable.cpu().numpy(), SINGLE, self.best())

    def chosen_logits(self, columns: NDArray[np.integer]) -> NDArray[np.float32]:
        return super().chosen_logits(columns).clip(-CLAMP, CLAMP)


def official_name(name: str) -> str:
    """Return the name in the official checkpoint of a tensor of this module."""
    name = re.sub(r"^(prompt_encoder|mask_decoder)\.", r"sam_\1.", name)
    name = re.sub(r"\.mlp\.(?:fc|lin)1\.", ".mlp.layers.0.", name)
    return re.sub(r"\.mlp\.(?:fc|lin)2\.", ".mlp.layers.1.", name)
