"""Words by CLIP: everything in the image is segmented first, and CLIP says which mask looks most like each phrase.

CLIP's network is open_clip's, which is an extra. Source: CASIA-IVA-Lab/FastSAM@b4ed20c, fastsam/prompt.py (text_prompt,
_crop_image, retrieve), with CLIP ViT-B/32. There a mask's number goes wrong where several masks of at most 100 pixels
follow one another; here it is always the mask that CLIP chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as codec
from torch import Tensor

from adapters import devices
from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.grounding import Grounded, GroundSettings, join
from adapters.prompts import Words
from adapters.registry import load
from adapters.stages import stage
from adapters.state_dict import load_strictly, seeded

try:
    import open_clip
except ImportError as error:
    raise InputError(f"CLIP needs open_clip: pip install 'sambench[text]' ({error})") from None

LEAST_AREA = 100
"""Masks of at most so many pixels aren't shown to CLIP."""

NUMBERS = ("input_resolution", "context_length", "vocab_size")
"""Stand among the tensors of OpenAI's file, and are no weights."""

CROPS_AT_ONCE = 32


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> ClipWords:
    """Build CLIP as its card describes it, and the model that segments everything."""
    network = seeded(lambda: open_clip.CLIP(**card.architecture, quick_gelu=True))
    if weights.path is not None:
        load_strictly(network, _read(card, weights), lambda name: name, f"{card.name}: {weights.path}")
    network = network.requires_grad_(False).eval().to(device)
    return ClipWords(card, weights, device, dtype, network, load(card.parts[0], weights.parts[0], device, dtype))


@dataclass
class ClipWordsEmbedding(Embedding):
    """The image, (H, W, 3) uint8 RGB, and what the segmenter made of it."""

    image: NDArray[np.uint8]
    segmenter: Embedding


class ClipWords(Adapter):
    """A segmenter that has an everything mode, and CLIP, which gives each phrase one mask."""

    def __init__(
        self, card: ModelCard, weights: Weights, device: str, dtype: str, network: Any, segmenter: Adapter
    ) -> None:
        self.card, self.weights, self.device, self.dtype = card, weights, device, dtype
        self.network, self.segmenter = network, segmenter
        self.tokenizer = open_clip.SimpleTokenizer(context_length=card.architecture["text_cfg"]["context_length"])
        side = card.architecture["vision_cfg"]["image_size"]
        self.prepare: Any = open_clip.image_transform(
            side, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
        )

    def parameters(self) -> int:
        own: int = sum(parameter.numel() for parameter in self.network.parameters())
        return own + self.segmenter.parameters()

    def wait(self) -> None:
        devices.wait(self.device)

    def _encode(self, image: NDArray[np.uint8]) -> ClipWordsEmbedding:
        embedding = self.segmenter.encode(image)
        return ClipWordsEmbedding(embedding.image_size, image, embedding)

    def _ground(self, embedding: Embedding, words: Words, settings: GroundSettings) -> Grounded:
        assert isinstance(embedding, ClipWordsEmbedding)
        tokens = self._tokens(words)
        rles = self.segmenter.everything(embedding.segmenter).rles
        rles = [rle for rle in rles if codec.area(rle) > LEAST_AREA]
        if not rles:
            return Grounded(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.intp), [], [])
        boxes = np.rint(codec.toBbox(rles)).astype(int)
        boxes[:, 2:] += boxes[:, :2]
        with stage("ground", wait=self.wait), devices.computing(self.device, self.dtype):
            seen = torch.cat([self.network.encode_image(crops, True) for crops in self._crops(embedding.image, boxes)])
            meant = self.network.encode_text(tokens, True)
            likeness = (100 * seen.float() @ meant.float().T).softmax(0).cpu().numpy()
        best, phrases = likeness.argmax(0), np.arange(len(words))
        chosen = [rles[mask] for mask in best]
        found = Grounded(boxes[best].astype(np.float32), likeness[best, phrases], phrases, list(words.phrases), chosen)
        return join([found[np.flatnonzero(found.scores > settings.threshold)]], settings)

    def _tokens(self, words: Words) -> Tensor:
        """Return (P, context) tokens.

        Raises:
            InputError: for a phrase that is too long; CLIP would be shown its beginning.
        """
        most = self.tokenizer.context_length - 2
        for index, phrase in enumerate(words.phrases):
            count = len(self.tokenizer.encode(phrase))
            if count > most:
                raise InputError(f"{self.card.name}: phrase {index} has {count} tokens, CLIP takes {most}")
        tokens: Tensor = self.tokenizer(list(words.phrases))
        return tokens.to(self.device)

    def _crops(self, image: NDArray[np.uint8], boxes: NDArray[np.int_]) -> Iterator[Tensor]:
        """Yield chunks of (K, 3, side, side): the image, white outside each box, red and blue swapped as there."""
        swapped = image[..., ::-1]
        for start in range(0, len(boxes), CROPS_AT_ONCE):
            crops = []
            for x0, y0, x1, y1 in boxes[start : start + CROPS_AT_ONCE]:
                crop = np.full_like(image, 255)
                crop[y0:y1, x0:x1] = swapped[y0:y1, x0:x1]
                crops.append(self.prepare(Image.fromarray(crop)))
            yield torch.stack(crops).to(self.device)


def _read(card: ModelCard, weights: Weights) -> dict[str, Tensor]:
    """Return the tensors of OpenAI's file, a TorchScript archive; none of its methods is called."""
    try:
        state = torch.jit.load(weights.path, map_location="cpu").state_dict()
    except Exception as error:  # a damaged file can raise almost anything
        raise InputError(f"{card.name}: {weights.path} is no TorchScript file ({type(error).__name__})") from None
    return {name: tensor for name, tensor in state.items() if name not in NUMBERS}
