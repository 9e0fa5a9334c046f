"""SAM's two-way mask decoder: the same function, computed with fewer operations.

The decoder (Kirillov et al. 2023, appendix A; segment_anything/modeling/transformer.py and mask_decoder.py) lets a
handful of tokens and 64x64 image positions attend to each other, then upscales the positions to 256x256. As written
it projects all 4096 positions to queries, keys and values for every prompt, and turns feature maps around between
attention and convolution. Four identities leave the result as it is, up to rounding, and halve the work:

1. (t Wq)(x Wk)ᵀ = (t Wq Wkᵀ) xᵀ. Folding the projection into the few tokens' side costs 8 heads x T tokens x 256
   numbers instead of a 4096 x 128 projection; likewise for the values, (A x) Wv = A (x Wv). A key bias adds the same
   to a whole row of scores, which softmax ignores; a value bias passes through it, since its weights add up to 1.
2. In the first block the image side is the same for all prompts of an image: it is projected once for the image.
3. A transposed 2x2 convolution of stride 2 is one matrix product at each position. Positions stay rows of 256, 64 and
   32 channels throughout; only the finished masks are put in pixel order.
4. A mask token's product with the upscaled features is wanted only for the masks that are asked for.

The weights stay in segment_anything's own modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]
Finer = tuple[Tensor, Tensor]

Module = Any
"""A module of segment_anything's, which has no types."""


@dataclass(frozen=True)
class Dialect:
    """Where families that use this decoder differ from each other.

    Attributes:
        self_attention: (layer, queries, prompt tokens, whether it is the first layer) -> queries before norm1.
        head_activation: between the linear layers of the mask and quality heads.
        normalise: (features (B, P, C), norm module) -> normalised features, between the two upscalings.
    """

    self_attention: Callable[[Module, Tensor, Tensor, bool], Tensor]
    head_activation: Activation
    normalise: Callable[[Tensor, Module], Tensor]


@dataclass(frozen=True)
class ImageSide:
    """What the decoder needs of one image: its positions as rows, and the first block's projections of them.

    Attributes:
        keys: (1, P, C), or (N, P, C) where a mask prompt makes them differ from prompt to prompt.
        projections: of the first block, shared by all prompts; None where keys differ.
        finer: rows of two finer maps, to be added while upscaling (TwoWayDecoder.finer_rows); None for no such maps.
    """

    keys: Tensor
    projections: _SharedSide | None
    finer: Finer | None = None


@dataclass(frozen=True)
class Attended:
    """The transformer's answer to N prompts: mask tokens (N, M, C), positions (N, P, C), scores (N, M).

    The image's finer maps come along.
    """

    mask_tokens: Tensor
    positions: Tensor
    scores: Tensor
    finer: Finer | None = None

    def __getitem__(self, rows: Tensor) -> Attended:
        """Return the answer to some of the prompts."""
        return Attended(self.mask_tokens[rows], self.positions[rows], self.scores[rows], self.finer)


class TwoWayDecoder:
    """A segment_anything MaskDecoder, run the short way.

    Args:
        module: the MaskDecoder that holds the weights, in evaluation mode.
        positional: (1, C, h, w), the dense positional encoding.
        dialect: the family's variations.
        leading: (L, C) output tokens that come before the quality token and have no part in masks and scores.
        takes_finer: whether finer maps of the image are added while upscaling.
    """

    def __init__(
        self,
        module: Module,
        positional: Tensor,
        dialect: Dialect,
        leading: Tensor | None = None,
        takes_finer: bool = False,
    ) -> None:
        self.module, self.dialect, self.takes_finer = module, dialect, takes_finer
        self.leading = 0 if leading is None else len(leading)
        self.grid = positional.shape[-2:]
        self.positional = _rows(positional)
        first, self.norm, _, second, _ = module.output_upscaling
        self.upscalings = [_transposed_convolution(layer) for layer in (first, second)]
        tokens = [module.iou_token.weight, module.mask_tokens.weight]
        self.output_tokens = torch.cat(tokens if leading is None else [leading, *tokens])

    def image_side(self, features: Tensor, finer: Finer | None = None) -> ImageSide:
        """Return the image's side from (1 or N, C, h, w) features with the dense prompt already added."""
        keys = _rows(features)
        shared = len(keys) == 1
        layer = self.module.transformer.layers[0]
        return ImageSide(keys, _SharedSide(layer, keys, keys + self.positional) if shared else None, finer)

    def finer_rows(self, once: Tensor, twice: Tensor) -> Finer:
        """Return the rows of maps that are added after one upscaling, (1, 2h, 2w, c), and after two, (1, 4h, 4w, d)."""
        return _in_upscaled_order(once, self.grid), _in_upscaled_order(twice, self.grid)

    def attend(self, image: ImageSide, sparse: Tensor) -> Attended:
        """Run the transformer on (N, S, C) embedded prompts."""
        transformer = self.module.transformer
        # sparse.shape[0] stays open to any number of prompts when this is exported; len(sparse) wouldn't.
        tokens = torch.cat([self.output_tokens.expand(sparse.shape[0], -1, -1), sparse], dim=1)
        queries, keys = tokens, image.keys
        for index, layer in enumerate(transformer.layers):
            queries = layer.norm1(self.dialect.self_attention(layer, queries, tokens, index == 0))
            side: _SharedSide | _OwnSide
            if index == 0 and image.projections is not None:
                side = image.projections
            else:
                side = _OwnSide(keys, keys + self.positional)
            queries = layer.norm2(queries + side.read(layer.cross_attn_token_to_image, queries + tokens))
            queries = layer.norm3(queries + layer.mlp(queries))
            keys = layer.norm4(side.written(layer.cross_attn_image_to_token, queries + tokens, queries))
        last = _OwnSide(keys, keys + self.positional)
        queries = queries + last.read(transformer.final_attn_token_to_image, queries + tokens)
        queries = transformer.norm_final_attn(queries)
        masks = self.module.num_mask_tokens
        quality, first = self.leading, self.leading + 1
        scores = _head(self.module.iou_prediction_head, queries[:, quality], self.dialect.head_activation)
        return Attended(queries[:, first : first + masks], keys, scores, image.finer)

    def upscale(self, attended: Attended, columns: Sequence[int]) -> Tensor:
        """Return (N, len(columns), 4h, 4w) logits of the masks asked for."""
        heads = self.module.output_hypernetworks_mlps
        activation = self.dialect.head_activation
        hyper = torch.stack([_head(heads[m], attended.mask_tokens[:, m], activation) for m in columns], dim=1)
        (first, first_bias), (second, second_bias) = self.upscalings
        batch, positions, _ = attended.positions.shape
        features = torch.addmm(first_bias, attended.positions.flatten(0, 1), first).view(batch, positions * 4, -1)
        if attended.finer is not None:
            features += attended.finer[0]
        features = F.gelu(self.dialect.normalise(features, self.norm)).flatten(0, 1)
        features = torch.addmm(second_bias, features, second).view(batch, positions * 16, -1)
        if attended.finer is not None:
            features += attended.finer[1]
        features = F.gelu(features)
        return _in_pixel_order(torch.bmm(hyper, features.transpose(1, 2)), self.grid)


class _SharedSide:
    """The image's side of a block, the same for all prompts: projected once."""

    def __init__(self, layer: Module, keys: Tensor, placed: Tensor) -> None:
        read, write = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        self.keys = keys
        self.read_keys = _by_head(read.k_proj(placed[0]), read.num_heads).transpose(1, 2).contiguous()
        self.read_values = _by_head(read.v_proj(keys[0]), read.num_heads).contiguous()
        self.write_queries = _by_head(write.q_proj(placed[0]), write.num_heads).transpose(1, 2).contiguous()

    def read(self, attention: Module, queries: Tensor) -> Tensor:
        """Tokens attend to the image: (N, T, C) -> (N, T, C)."""
        batch, count, _ = queries.shape
        heads = attention.num_heads
        projected = _by_head(_scaled(attention.q_proj(queries), heads).flatten(0, 1), heads)
        weights = torch.bmm(projected, self.read_keys).softmax(-1)
        values = torch.bmm(weights, self.read_values)
        taken: Tensor = attention.out_proj(values.transpose(0, 1).reshape(batch, count, -1))
        return taken

    def written(self, attention: Module, queries: Tensor, values: Tensor) -> Tensor:
        """The image attends to the tokens: return its positions with what they took in added, (N, P, C)."""
        batch, count, _ = queries.shape
        heads = attention.num_heads
        projected = _by_head(_scaled(attention.k_proj(queries), heads).flatten(0, 1), heads)
        scores = torch.bmm(projected, self.write_queries).view(heads, batch, count, -1)
        weights = scores.softmax(2).transpose(0, 1).reshape(batch, heads * count, -1)
        return torch.baddbmm(
            self.keys.expand(batch, -1, -1), weights.transpose(1, 2), _folded_values(attention, values)
        )


@dataclass(frozen=True)
class _OwnSide:
    """The image's side of a block, different for each prompt: projections are folded into the tokens.

    Attributes:
        keys: (N, P, C) positions.
        placed: the same with the positional encoding added.
    """

    keys: Tensor
    placed: Tensor

    def read(self, attention: Module, queries: Tensor) -> Tensor:
        """Tokens attend to the image: (N, T, C) -> (N, T, C)."""
        batch, count, width = queries.shape
        heads = attention.num_heads
        projected = _split(_scaled(attention.q_proj(queries), heads), heads)
        folded = torch.einsum("nthd,hdc->nhtc", projected, _weight_by_head(attention.k_proj, heads))
        weights = torch.bmm(folded.reshape(batch, -1, width), self.placed.transpose(1, 2)).softmax(-1)
        values = torch.bmm(weights, self.keys).view(batch, heads, count, width)
        values = torch.einsum("nhtc,hdc->nthd", values, _weight_by_head(attention.v_proj, heads)).flatten(2)
        taken: Tensor = attention.out_proj(values + attention.v_proj.bias)
        return taken

    def written(self, attention: Module, queries: Tensor, values: Tensor) -> Tensor:
        """The image attends to the tokens: return its positions with what they took in added, (N, P, C)."""
        batch, count, width = queries.shape
        heads = attention.num_heads
        projected = _split(_scaled(attention.k_proj(queries), heads), heads)
        folded = torch.einsum("nthd,hdc->nhtc", projected, _weight_by_head(attention.q_proj, heads))
        offset = torch.einsum("nthd,hd->nht", projected, attention.q_proj.bias.view(heads, -1))
        scores = torch.baddbmm(
            offset.reshape(batch, -1, 1), folded.reshape(batch, -1, width), self.placed.transpose(1, 2)
        )
        weights = scores.view(batch, heads, count, -1).softmax(2).flatten(1, 2)
        return torch.baddbmm(self.keys, weights.transpose(1, 2), _folded_values(attention, values))


def sam_self_attention(layer: Module, queries: Tensor, tokens: Tensor, first: bool) -> Tensor:
    """SAM: no residual in the first layer; later the prompt tokens are added to queries and keys, not to values."""
    placed = queries if first else queries + tokens
    attended: Tensor = layer.self_attn(placed, placed, queries)
    return attended if first else queries + attended


def channel_norm(features: Tensor, norm: Module) -> Tensor:
    """SAM: segment_anything's LayerNorm2d, over the channels of each position."""
    return F.layer_norm(features, features.shape[-1:], norm.weight, norm.bias, norm.eps)


SAM_DIALECT = Dialect(sam_self_attention, F.relu, channel_norm)


def _rows(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C), contiguous."""
    return features.flatten(2).transpose(1, 2).contiguous()


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """(R, heads d) -> (heads, R, d)."""
    return _split(rows, heads).transpose(0, 1)


def _split(rows: Tensor, heads: int) -> Tensor:
    """(..., heads d) -> (..., heads, d)."""
    return rows.reshape(*rows.shape[:-1], heads, -1)


def _weight_by_head(projection: Module, heads: int) -> Tensor:
    """Return a projection's weight as (heads, d, C)."""
    weight: Tensor = projection.weight
    return weight.view(heads, -1, weight.shape[1])


def _scaled(projected: Tensor, heads: int) -> Tensor:
    return projected / math.sqrt(projected.shape[-1] // heads)


def _folded_values(attention: Module, values: Tensor) -> Tensor:
    """Return (N, heads T, C): each head's values taken through its share of the output projection.

    A head's attention weights add up to 1, so every head can carry an equal share of the output bias.
    """
    heads = attention.num_heads
    projected = _split(attention.v_proj(values), heads)
    weight = _split(attention.out_proj.weight, heads)
    bias: Tensor = attention.out_proj.bias / heads
    return (torch.einsum("nthd,chd->nhtc", projected, weight) + bias).flatten(1, 2)


def _head(mlp: Module, x: Tensor, activation: Activation) -> Tensor:
    *hidden, last = mlp.layers
    for layer in hidden:
        x = activation(layer(x))
    result: Tensor = last(x)
    return result.sigmoid() if mlp.sigmoid_output else result


def _transposed_convolution(layer: Module) -> tuple[Tensor, Tensor]:
    """Return a 2x2, stride 2 transposed convolution as a matrix (in, 2 2 out) and a bias (2 2 out)."""
    weight = layer.weight.permute(0, 2, 3, 1)
    return weight.reshape(len(weight), -1).contiguous(), layer.bias.repeat(4)


def _in_pixel_order(masks: Tensor, grid: Sequence[int]) -> Tensor:
    """Undo the order that two 2x2 upscalings leave: (N, M, h w 2 2 2 2) -> (N, M, 4h, 4w)."""
    batch, count, _ = masks.shape
    height, width = grid
    nested = masks.view(batch, count, height, width, 2, 2, 2, 2)
    return nested.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(batch, count, 4 * height, 4 * width)


def _in_upscaled_order(features: Tensor, grid: Sequence[int]) -> Tensor:
    """Put a map in the order that 2x2 upscalings leave: (1, 2h, 2w, c) or (1, 4h, 4w, c) -> (1, positions, c)."""
    height, width = grid
    factor, channels = features.shape[1] // height, features.shape[-1]
    if factor == 2:
        nested = features.reshape(height, 2, width, 2, channels).permute(0, 2, 1, 3, 4)
    else:
        nested = features.reshape(height, 2, 2, width, 2, 2, channels).permute(0, 3, 1, 4, 2, 5, 6)
    return nested.reshape(1, -1, channels)
