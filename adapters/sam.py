"""SAM ViT-H, ViT-L and ViT-B on the segment-anything package, and what other families take from it."""

from __future__ import annotations

import segment_anything
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam_like.adapter import SamLike
from adapters.sam_like.decoder import SAM_DIALECT, Module, TwoWayDecoder
from adapters.sam_like.frames import Frame, LongestSide
from adapters.state_dict import fill, seeded


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build a SAM from the builder its card names."""
    model = fill(seeded(getattr(segment_anything, card.architecture["builder"])), card, weights)
    return with_sam_decoder(card, weights, device, dtype, model.to(device))


def with_sam_decoder(
    card: ModelCard, weights: Weights, device: str, dtype: str, model: Module, frame: Frame | None = None
) -> SamLike:
    """Return the adapter of a model with SAM's own prompt encoder and mask decoder, and SAM's frame if none is given.

    The model has image_encoder, prompt_encoder and mask_decoder, as segment_anything's Sam does.
    """
    with torch.inference_mode():
        decoder = TwoWayDecoder(model.mask_decoder, model.prompt_encoder.get_dense_pe(), SAM_DIALECT)
    return SamLike(
        card,
        weights,
        device,
        dtype,
        module=model,
        encoder=model.image_encoder,
        prompt_encoder=SamPromptEncoder(model.prompt_encoder),
        decoder=decoder,
        frame=frame or LongestSide(),
    )


def sam_around(image_encoder: Module) -> Module:
    """Return a Sam of an image encoder and SAM's own prompt encoder and mask decoder (build_sam.py)."""
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    prompt_encoder = PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
    )
    return Sam(image_encoder, prompt_encoder, MaskDecoder(transformer_dim=256, transformer=transformer))


def neck(width: int) -> nn.Sequential:
    """Return the neck of SAM's image encoder: (1, width, h, w) -> (1, 256, h, w) (modeling/image_encoder.py)."""
    return nn.Sequential(
        nn.Conv2d(width, 256, kernel_size=1, bias=False),
        LayerNorm2d(256),
        nn.Conv2d(256, 256, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(256),
    )


class SamPromptEncoder:
    """segment_anything's PromptEncoder; prompts in pixels of the 1024 square."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def sparse(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None) -> Tensor:
        parts = []
        if points is not None:
            parts.append(self.module._embed_points(points, labels, pad=boxes is None))
        if boxes is not None:
            parts.append(self.module._embed_boxes(boxes))
        return torch.cat(parts, dim=1)

    def dense(self, features: Tensor, logits: Tensor | None) -> Tensor:
        if logits is None:
            added: Tensor = self.module.no_mask_embed.weight.view(1, -1, 1, 1)
        else:
            added = self.module.mask_downscaling(logits[:, None])
        return features + added
