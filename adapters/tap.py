"""TAP, Tokenize Anything: its segmentation. Names and captions of what is segmented are left out.

Source: baaivision/tokenize-anything@9cefd56: models/easy_build.py, modeling/*.py, utils/image.py,
notebooks/inference.ipynb. Its decoder is SAM's with four semantic tokens in front. Left out of the checkpoint are what
turns those into embeddings (image_decoder.sem_pred) and into words (text_decoder).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.prompt_encoder import PositionEmbeddingRandom
from torch import Tensor, nn

from adapters.adapter import Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.prompts import PADDING, Prompts
from adapters.sam_like.adapter import SamCandidates, SamLike
from adapters.sam_like.decoder import SAM_DIALECT, Module, TwoWayDecoder
from adapters.sam_like.frames import SAM_MEAN, SAM_STD, LongestSide, Size
from adapters.state_dict import fill, seeded
from adapters.tap_encoder import GRID, WIDTH, ImageEncoder

SIDE, TOKENS = 1024, 4
TOP_LEFT, BOTTOM_RIGHT, NONE = 2, 3, 4
"""Labels of points beside 0, background, and 1, foreground: a box's corners, and no point."""

FOR_BOXES, FOR_POINTS = slice(0, 1), slice(1, TOKENS)
"""Which masks answer which prompts."""

UNUSED = ("text_decoder.", "image_decoder.sem_pred.", "pixel_mean", "pixel_rsig")
"""How the names of tensors begin that the checkpoint holds and segmentation doesn't need."""


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> Tap:
    """Build a TAP of the image encoder that its card describes."""
    bare = seeded(lambda: TapNetwork(**card.architecture))
    model: Module = fill(bare, card, weights, official_name, UNUSED).to(device)
    with torch.inference_mode():
        positional = model.prompt_encoder.pe_layer((GRID, GRID))[None]
        decoder = TwoWayDecoder(model.mask_decoder, positional, SAM_DIALECT, model.mask_decoder.sem_tokens.weight)
    return Tap(
        card,
        weights,
        device,
        dtype,
        module=model,
        encoder=model.image_encoder,
        prompt_encoder=model.prompt_encoder,
        decoder=decoder,
        frame=TapFrame(),
    )


class Tap(SamLike):
    """SAM's decoder's four masks, of which the first answers boxes and the others points."""

    def _decode(self, embedding: Embedding, prompts: Prompts) -> SamCandidates:
        candidates = super()._decode(embedding, prompts)
        candidates.multimask = FOR_POINTS if prompts.boxes is None else FOR_BOXES
        return candidates

    def _candidates(self, logits: Tensor, scores: Tensor, image_size: Size) -> SamCandidates:
        return TapCandidates(logits, scores.cpu().numpy(), image_size, self)


class TapCandidates(SamCandidates):
    """Whichever mask one takes, it is the best-scored of those that answer this kind of prompt."""

    def singles(self) -> NDArray[np.intp]:
        return self.best()


class TapFrame(LongestSide):
    """SAM's frame in BGR, padded with the mean in whole numbers, and one scale for both axes."""

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        height, width = self._resized(image.shape[:2], SIDE)
        square = np.tile(np.array(SAM_MEAN).astype(np.uint8), (SIDE, SIDE, 1))
        square[:height, :width] = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        mean, std = (torch.tensor(values) for values in (SAM_MEAN, SAM_STD))
        pixels = (torch.from_numpy(square).float() - mean) / std
        return pixels.permute(2, 0, 1).flip(0)[None]

    def scale(self, image_size: Size) -> NDArray[np.float64]:
        return np.full(2, _factor(image_size, SIDE))

    @staticmethod
    def _resized(image_size: Size, side: int) -> Size:
        factor = _factor(image_size, side)
        height, width = (min(side, max(1, int(length * factor + 0.5))) for length in image_size)
        return height, width


def _factor(image_size: Size, side: int) -> float:
    """Return by how much an image is resized: to its shorter side if the longer one nearly fits then (im_rescale)."""
    factor = side / min(image_size)
    return factor if round(factor * max(image_size)) <= side else side / max(image_size)


class TapNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder."""

    def __init__(self, embed_dim: int, depth: int, num_heads: int) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder(embed_dim, depth, num_heads)
        self.prompt_encoder = PromptEncoder()
        transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=8, mlp_dim=2048)
        self.mask_decoder = MaskDecoder(transformer_dim=WIDTH, transformer=transformer)
        self.mask_decoder.output_upscaling[1].eps = 1e-5
        self.mask_decoder.sem_tokens = nn.Embedding(TOKENS, WIDTH)


class PromptEncoder(nn.Module):
    """All prompts as labelled points, in pixels of the 1024 square; nothing for a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = PositionEmbeddingRandom(WIDTH // 2)
        self.point_embed = nn.Embedding(NONE + 1, WIDTH)

    def sparse(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None) -> Tensor:
        given = []
        if boxes is not None:
            corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=boxes.device)
            given.append(self._embedded(boxes.view(-1, 2, 2), corners))
        if points is not None:
            assert labels is not None
            given.append(self._embedded(points, torch.where(labels == PADDING, NONE, labels)))
        if boxes is None:
            given.append(self.point_embed.weight[NONE].expand(len(given[0]), 1, -1))
        return torch.cat(given, dim=1)

    def _embedded(self, points: Tensor, labels: Tensor) -> Tensor:
        placed = (points + 0.5).clamp(0, SIDE)
        where: Tensor = self.pe_layer.forward_with_coords(placed, (SIDE, SIDE))
        kind: Tensor = self.point_embed(labels.long())
        return where * (labels != NONE)[..., None] + kind

    def dense(self, features: Tensor, logits: Tensor | None) -> Tensor:
        return features


def official_name(name: str) -> str:
    """Return the name in the official checkpoint of a tensor of this module."""
    for own, official in (
        ("pe_layer.positional_encoding_gaussian_matrix", "coord_matrix"),
        ("mask_decoder.", "image_decoder."),
        ("transformer.layers.", "transformer.blocks."),
        ("norm_final_attn", "norm"),
        ("out_proj", "proj"),
        ("mlp.lin", "mlp.fc"),
        ("output_upscaling", "output_conv"),
        ("output_hypernetworks_mlps", "mask_pred"),
        ("iou_prediction_head", "iou_pred"),
    ):
        name = name.replace(own, official)
    return name
