"""TAP's image encoder: a ViT that attends in windows only, with convolutions across them.

Source: baaivision/tokenize-anything@9cefd56, modeling/image_encoder.py. Modules have their official names.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from segment_anything.modeling.image_encoder import window_partition, window_unpartition
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.sam_like.decoder import Module

PATCH, GRID, WINDOW, WIDTH, STAGES = 16, 64, 16, 256, 4


class ImageEncoder(nn.Module):
    """A ViT in windows, with convolutions across them after each quarter: (1, 3, 1024, 1024) -> (1, 256, 64, 64)."""

    def __init__(self, embed_dim: int, depth: int, num_heads: int) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, embed_dim, kernel_size=PATCH, stride=PATCH)})
        self.pos_embed = nn.Embedding(GRID**2, embed_dim)
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, norm_layer=nn.LayerNorm) for _ in range(depth))
        for block in self.blocks:
            block.attn = WindowAttention(embed_dim, num_heads)
        self.norm = nn.LayerNorm(embed_dim)
        self.cross_conv = nn.ModuleList(_bottleneck(embed_dim) for _ in range(STAGES))
        lateral, output = _normed(embed_dim, WIDTH, 1), _normed(WIDTH, WIDTH, 3)
        self.neck = nn.Sequential(OrderedDict(lateral_conv=nn.Sequential(lateral), output_conv=nn.Sequential(output)))

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.patch_embed["proj"](pixels)
        features = features + self.pos_embed.weight.T.view(1, -1, GRID, GRID)
        quarter = len(self.blocks) // STAGES
        for stage, convolution in enumerate(self.cross_conv):
            rows = window_partition(features.permute(0, 2, 3, 1), WINDOW)[0].flatten(1, 2)
            for block in self.blocks[stage * quarter : (stage + 1) * quarter]:
                rows = block(rows)
            rows = self.norm(rows) if stage == STAGES - 1 else rows
            features = window_unpartition(rows, WINDOW, (GRID, GRID), (GRID, GRID)).permute(0, 3, 1, 2)
            features = features + convolution(features)
        features = self.neck(features)
        return features


class WindowAttention(nn.Module):
    """Attention among the positions of a window, with a bias for each head and each offset between two of them."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.rel_pos_embed: Module = nn.Embedding(num_heads, (2 * WINDOW - 1) ** 2)
        place = torch.arange(WINDOW)
        offset = place[:, None] - place + WINDOW - 1
        index = offset[:, None, :, None] * (2 * WINDOW - 1) + offset[None, :, None, :]
        self.rel_pos_embed.register_buffer("index", index.reshape(WINDOW**2, WINDOW**2))

    def forward(self, rows: Tensor, *_: object, **__: object) -> Tensor:
        batch, count, width = rows.shape
        q, k, v = self.qkv(rows).view(batch, count, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.rel_pos_embed.weight[:, self.rel_pos_embed.index].to(q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, bias)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, count, width))
        return projected


def _normed(inputs: int, outputs: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _bottleneck(dim: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, outputs, size) in enumerate([(dim, dim // 2, 1), (dim // 2, dim // 2, 3), (dim // 2, dim, 1)]):
        layers[f"conv{number + 1}"], layers[f"norm{number + 1}"] = _normed(inputs, outputs, size)
        layers[f"activation{number + 1}"] = nn.GELU()
    layers.popitem()
    return nn.Sequential(layers)
