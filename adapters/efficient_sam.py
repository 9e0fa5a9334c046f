"""EfficientSAM-Ti and -S: a plain ViT on timm's blocks, and a decoder that is SAM's but for small things.

Source: yformer/EfficientSAM@d525f62, efficient_sam/. Its decoder keeps the residual in the first self-attention, lets
the prompt tokens into values and residual of the second, uses GELU throughout, and normalises the upscaled features
over all positions and channels at once.
"""

from __future__ import annotations

import re
from functools import partial

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.prompt_encoder import PositionEmbeddingRandom
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam import neck
from adapters.sam_like.adapter import SamLike
from adapters.sam_like.decoder import Dialect, Module, TwoWayDecoder
from adapters.sam_like.frames import Squash
from adapters.state_dict import fill, seeded

WIDTH, SIDE, PATCH, GRID, DEPTH, PRETRAINED_GRID = 256, 1024, 16, 64, 12, 14
SLOTS = 6
"""Every prompt is padded to so many points."""


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build an EfficientSAM of the width its card names."""
    model = fill(seeded(partial(EfficientSam, **card.architecture)), card, weights, official_name).to(device)
    assert isinstance(model, EfficientSam)
    with torch.inference_mode():
        positional = model.prompt_encoder.pe_layer((GRID, GRID))[None]
        decoder = TwoWayDecoder(model.mask_decoder, positional, DIALECT)
    return SamLike(
        card,
        weights,
        device,
        dtype,
        module=model,
        encoder=model.image_encoder,
        prompt_encoder=model.prompt_encoder,
        decoder=decoder,
        frame=Squash(SIDE),
    )


class EfficientSam(nn.Module):
    """Image encoder, prompt encoder and mask decoder."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(embed_dim, num_heads)
        self.prompt_encoder = PromptEncoder()
        transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=8, mlp_dim=2048, activation=nn.GELU)
        self.mask_decoder = MaskDecoder(transformer_dim=WIDTH, transformer=transformer)


class ImageEncoder(nn.Module):
    """A ViT without windows or relative positions, and SAM's neck: (1, 3, 1024, 1024) -> (1, 256, 64, 64)."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, embed_dim, kernel_size=PATCH, stride=PATCH)})
        self.pos_embed = nn.Parameter(torch.zeros(1, PRETRAINED_GRID**2 + 1, embed_dim))
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(Block(embed_dim, num_heads, qkv_bias=True, norm_layer=norm) for _ in range(DEPTH))
        )
        self.neck = neck(embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        rows = self.blocks(patches.contiguous() + self._positions())
        features: Tensor = self.neck(rows.transpose(1, 2).reshape(len(rows), -1, GRID, GRID))
        return features

    def _positions(self) -> Tensor:
        """Return (1, 4096, C): the pretrained 14x14 positions without the class token's, resized."""
        grid = (1, PRETRAINED_GRID, PRETRAINED_GRID, -1)
        pretrained = self.pos_embed[:, 1:].reshape(grid).permute(0, 3, 1, 2)
        resized = F.interpolate(pretrained, (GRID, GRID), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)


class PromptEncoder(nn.Module):
    """Points and box corners as tokens, six for every prompt, the rest padding; nothing for a mask.

    A box is two points with labels of their own. Padding has the coordinate -1 (EfficientSam.predict_masks).
    """

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = PositionEmbeddingRandom(WIDTH // 2)
        self.invalid_points = nn.Embedding(1, WIDTH)
        self.point_embeddings = nn.Embedding(1, WIDTH)
        self.bbox_top_left_embeddings = nn.Embedding(1, WIDTH)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, WIDTH)

    def sparse(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None) -> Tensor:
        places, kinds = [], []
        if boxes is not None:
            places.append(boxes.view(-1, 2, 2))
            corners = torch.cat([self.bbox_top_left_embeddings.weight, self.bbox_bottom_right_embeddings.weight])
            kinds.append(corners.expand(len(boxes), -1, -1))
        if points is not None:
            assert labels is not None
            padding = (labels == -1)[..., None]
            places.append(torch.where(padding, -1.0, points))
            kinds.append(torch.where(padding, self.invalid_points.weight, self.point_embeddings.weight))
        given = torch.cat(places, dim=1)
        missing = SLOTS - given.shape[1]
        kinds.append(self.invalid_points.weight.expand(len(given), missing, -1))
        placed = F.pad(given, (0, 0, 0, missing), value=-1.0) + 0.5
        where: Tensor = self.pe_layer.forward_with_coords(placed, (SIDE, SIDE))
        return where + torch.cat(kinds, dim=1)

    def dense(self, features: Tensor, logits: Tensor | None) -> Tensor:
        return features


def self_attention(layer: Module, queries: Tensor, tokens: Tensor, first: bool) -> Tensor:
    """Residual from the first layer on; from the second the prompt tokens are in queries, keys, values and residual."""
    if not first:
        queries = queries + tokens
    attended: Tensor = layer.self_attn(queries, queries, queries)
    return queries + attended


def joint_norm(features: Tensor, norm: Module) -> Tensor:
    """GroupNorm of one group: over all positions and channels of a prompt, then scaled by channel."""
    normalised = F.layer_norm(features, features.shape[-2:], eps=1e-5)
    return torch.addcmul(norm.bias, normalised, norm.weight)


DIALECT = Dialect(self_attention, F.gelu, joint_norm)


def official_name(name: str) -> str:
    """Return the name in the official checkpoint of a tensor of this module."""
    if name.startswith("mask_decoder.transformer"):
        name = name.replace(".mlp.lin1.", ".mlp.layers.0.0.").replace(".mlp.lin2.", ".mlp.fc.")
    elif name.startswith(("mask_decoder.output_hyper", "mask_decoder.iou_pred")):
        name = re.sub(r"layers\.([01])\.", r"layers.\1.0.", name).replace("layers.2.", "fc.")
    for own, official in (("0.", "0.0."), ("1.", "0.1."), ("3.", "1.0.")):
        if name.startswith(f"mask_decoder.output_upscaling.{own}"):
            return name.replace(f"output_upscaling.{own}", f"final_output_upscaling_layers.{official}")
    return name
