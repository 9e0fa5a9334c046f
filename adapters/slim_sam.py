"""SlimSAM: SAM ViT-B with a pruned image encoder, and SAM's own prompt encoder and mask decoder.

Source: czg1225/SlimSAM@b612c1b. Those pruned uniformly are narrower in the same way in every block
(segment_anything/build_sam.py). In those pruned globally each block has its own width of attention and of MLP, which is
written nowhere but in the checkpoint (prune_distill_step2.py, segment_anything_kd/modeling/image_encoder.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.common import MLPBlock
from segment_anything.modeling.image_encoder import Attention
from torch import nn

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.sam import sam_around, with_sam_decoder
from adapters.sam_like.adapter import SamLike
from adapters.sam_like.decoder import Module
from adapters.state_dict import StateDict, fill, seeded, stored

DEPTH, HEADS, WINDOW, GRID, GLOBAL_BLOCKS = 12, 12, 14, 64, (2, 5, 8, 11)


@dataclass(frozen=True)
class Widths:
    """How wide an image encoder is: between blocks, and in each block's attention and MLP."""

    embedding: int
    attention: tuple[int, ...]
    mlp: tuple[int, ...]


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build a SlimSAM as wide as its card says, or its checkpoint where the card doesn't.

    Raises:
        InputError: for the checkpoint of another model.
    """
    state = stored(card, weights)
    if state is not None:
        state = as_sams(state)
    widths = _uniform(**card.architecture) if card.architecture else _widths(state, card)
    model = fill(seeded(lambda: sam_around(image_encoder(widths))), card, weights, state=state)
    return with_sam_decoder(card, weights, device, dtype, model.to(device))


def image_encoder(widths: Widths) -> Module:
    """Return SAM ViT-B's image encoder with other widths: (1, 3, 1024, 1024) -> (1, 256, 64, 64)."""
    encoder = ImageEncoderViT(
        embed_dim=widths.embedding,
        num_heads=HEADS,
        mlp_ratio=1,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=WINDOW,
        global_attn_indexes=GLOBAL_BLOCKS,
    )
    for index, block in enumerate(encoder.blocks):
        side, width = GRID if index in GLOBAL_BLOCKS else WINDOW, widths.attention[index]
        block.attn = Attention(width, HEADS, use_rel_pos=True, input_size=(side, side))
        block.attn.qkv = nn.Linear(widths.embedding, 3 * width)
        block.attn.proj = nn.Linear(width, widths.embedding)
        block.mlp = MLPBlock(widths.embedding, widths.mlp[index])
    return encoder


def as_sams(state: StateDict) -> StateDict:
    """Return a checkpoint's tensors under SAM's names.

    A globally pruned encoder is wrapped in DataParallel, and its queries, keys and values have layers of their own.
    """
    state = {name.replace("image_encoder.module.", "image_encoder."): tensor for name, tensor in state.items()}
    for query in [name for name in state if ".attn.q." in name]:
        parts = [query.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in state for part in parts):
            state[query.replace(".attn.q.", ".attn.qkv.")] = torch.cat([state.pop(part) for part in parts])
    return state


def _uniform(embedding: int, mlp: int) -> Widths:
    return Widths(embedding, (embedding,) * DEPTH, (mlp,) * DEPTH)


def _widths(state: StateDict | None, card: ModelCard) -> Widths:
    assert state is not None  # its card says that it can't have random weights
    blocks = [f"image_encoder.blocks.{index}." for index in range(DEPTH)]
    try:
        return Widths(
            state["image_encoder.pos_embed"].shape[-1],
            tuple(state[f"{block}attn.proj.weight"].shape[1] for block in blocks),
            tuple(state[f"{block}mlp.lin1.weight"].shape[0] for block in blocks),
        )
    except (KeyError, IndexError) as error:
        raise InputError(f"{card.name}: this is the checkpoint of another model: {error}") from None
