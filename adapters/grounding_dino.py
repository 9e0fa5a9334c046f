"""Grounding DINO: a detector that finds what words name; the network is transformers', which is an extra.

Source: IDEA-Research/GroundingDINO@856dde2, groundingdino/util/inference.py and demo/test_ap_on_coco.py; transformers'
processing_grounding_dino.py. All files are read from a folder that is here; nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from adapters import devices
from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.grounding import Grounded, GroundSettings, join
from adapters.prompts import Words
from adapters.stages import stage
from adapters.state_dict import KeysError, fill, read_safetensors, seeded

try:
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig
    from transformers.utils import logging

    from adapters.captions import Caption, Captions, Vocabulary, letters, read
except ImportError as error:
    raise InputError(f"Grounding DINO needs transformers: pip install 'sambench[text]' ({error})") from None

SHORTEST, LONGEST = 800, 1333
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

RANDOM_DETECTIONS = 8
"""Random weights are sure of everything: so many of what they find go on."""


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> GroundingDino:
    """Build the network whose numbers its card has; what it doesn't name is as in transformers' configuration."""
    backbone = SwinConfig(**card.architecture["backbone"], out_indices=[2, 3, 4])
    config = GroundingDinoConfig(backbone_config=backbone, **card.architecture.get("network", {}))
    if weights.path is None:
        network = fill(seeded(lambda: GroundingDinoForObjectDetection(config)), card, weights)
        return GroundingDino(card, weights, device, dtype, network.to(device), letters())
    vocabulary = read(weights.path.with_name("vocab.txt"), card.name)
    return GroundingDino(card, weights, device, dtype, _loaded(config, card, weights).to(device), vocabulary)


@dataclass
class GroundingDinoEmbedding(Embedding):
    """The image as the network takes it, (1, 3, h, w): image and words meet before anything is encoded for good."""

    pixels: Tensor


class GroundingDino(Adapter):
    """Finds boxes. Phrases that don't fit into one caption are asked in several."""

    def __init__(
        self, card: ModelCard, weights: Weights, device: str, dtype: str, network: Any, vocabulary: Vocabulary
    ) -> None:
        self.card, self.weights, self.device, self.dtype = card, weights, device, dtype
        self.network = network
        self.captions = Captions(card.name, vocabulary, network.config.max_text_len)
        most = None if weights.path is not None else RANDOM_DETECTIONS
        self.grounding = GroundSettings(**card.architecture["grounding"], max_detections=most)

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def wait(self) -> None:
        devices.wait(self.device)

    def _encode(self, image: NDArray[np.uint8]) -> GroundingDinoEmbedding:
        with stage("preprocess", wait=self.wait):
            height, width = input_size(*image.shape[:2])
            resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
            pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
            tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self.device)
        return GroundingDinoEmbedding(image.shape[:2], tensor)

    def _ground(self, embedding: Embedding, words: Words, settings: GroundSettings) -> Grounded:
        assert isinstance(embedding, GroundingDinoEmbedding)
        captions = list(self.captions.of(words))
        with stage("ground", wait=self.wait):
            return join([self._detect(embedding, caption, settings) for caption in captions], settings)

    def _detect(self, embedding: GroundingDinoEmbedding, caption: Caption, settings: GroundSettings) -> Grounded:
        """Return what one caption finds.

        A query's score is its highest probability of any token, its phrase the one whose token has the highest.
        """
        tokens, owners = torch.tensor([caption.tokens], device=self.device), torch.tensor(caption.owners)
        with devices.computing(self.device, self.dtype):
            output = self.network(pixel_values=embedding.pixels, input_ids=tokens)
        logits = output.logits[0, :, : len(owners)].float().cpu()
        probabilities, boxes = logits.sigmoid(), _corners(output.pred_boxes[0].float().cpu(), embedding.image_size)
        scores = probabilities.amax(1)
        kept = (scores > settings.threshold) & _overlapping(boxes, embedding.image_size)
        phrases = owners[logits[kept].masked_fill(owners < 0, -torch.inf).argmax(1)]
        labelled = (probabilities[kept] > settings.text_threshold).numpy()
        labelled[:, 0] = labelled[:, self.captions.longest - 1 :] = False
        labels = self.captions.texts([np.array(caption.tokens)[row].tolist() for row in labelled])
        return Grounded(boxes[kept].numpy(), scores[kept].numpy(), phrases.numpy(), labels)


def input_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width after resizing the shorter side to 800, or the longer one to 1333 if that is less.

    Source: transformers' image_transforms.py, get_size_with_aspect_ratio; the other side is rounded down.
    """
    shorter, longer = min(height, width), max(height, width)
    exact = min(float(SHORTEST), LONGEST * shorter / longer)
    short = max(1, round(exact))
    if short == shorter:
        return height, width
    long = int(exact * longer / shorter)
    return (short, long) if height <= width else (long, short)


def _loaded(config: GroundingDinoConfig, card: ModelCard, weights: Weights) -> nn.Module:
    """Return the network with a checkpoint's weights, of which none may be missing, or left over."""
    assert weights.path is not None
    state = read_safetensors(weights.path, card)
    shown = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        network, told = GroundingDinoForObjectDetection.from_pretrained(
            None, config=config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True
        )
    finally:
        logging.set_verbosity(shown[1])
        if shown[0]:
            logging.enable_progress_bar()
    wrong = [sorted(map(str, told[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")]
    if any(wrong):
        raise KeysError(f"{card.name}: {weights.path}", *wrong)
    module: nn.Module = network.requires_grad_(False).eval()
    return module


def _corners(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return (Q, 4) x0 y0 x1 y1 in pixels of boxes given as centre and size, in shares of the image's."""
    height, width = image_size
    centre, half = boxes[:, :2], 0.5 * boxes[:, 2:]
    return torch.cat([centre - half, centre + half], dim=1) * torch.tensor([width, height, width, height])


def _overlapping(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return which boxes aren't empty and have something of the image in them: others can be no prompts."""
    x0, y0, x1, y1 = boxes.unbind(1)
    return (x1 > x0.clamp(min=0)) & (y1 > y0.clamp(min=0)) & (x0 < image_size[1]) & (y0 < image_size[0])
