"""A family's frame: how an image becomes the network's input, prompts follow it there, and masks come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAM_MEAN, SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

Size = tuple[int, int]


class Frame(ABC):
    """Images are (H, W, 3) uint8 RGB; sizes are (height, width)."""

    side: int
    """S, of the network's input."""

    clip: bool = False
    """Whether coordinates must be clipped to the image before they are scaled."""

    @abstractmethod
    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the network's input, (1, 3, S, S) float32, on the CPU."""

    @abstractmethod
    def scale(self, image_size: Size) -> NDArray[np.float64]:
        """Return (2,) factors, x y, from the image's pixels to the prompt encoder's."""

    @abstractmethod
    def restore(self, logits: Tensor, image_size: Size) -> Tensor:
        """Return (K, H, W) logits at the image's own size from (K, h, w) low-resolution ones."""


@dataclass(frozen=True)
class LongestSide(Frame):
    """SAM's frame: the longest side to ``side``, zeros at right and bottom, masks by way of the padded square.

    Source: segment_anything/utils/transforms.py, modeling/sam.py (preprocess, postprocess_masks), commit dca509f. With
    another ``side``: mit-han-lab/efficientvit@de7d773, efficientvit/models/efficientvit/sam.py.
    """

    side: int = 1024
    prompt_side: int = 1024
    """The side of the square that prompts and masks are in, whatever the network's input is."""

    torch_antialias: bool = False
    """Resize by torch's antialiased bilinear filter (apply_image_torch) instead of Pillow's (apply_image)."""

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        height, width = self._resized(image.shape[:2], self.side)
        if self.torch_antialias:
            given = torch.from_numpy(image).permute(2, 0, 1)[None].float()
            pixels = F.interpolate(given, (height, width), mode="bilinear", antialias=True)[0]
        else:
            resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (SAM_MEAN, SAM_STD))
        return F.pad((pixels - mean) / std, (0, self.side - width, 0, self.side - height))[None]

    def scale(self, image_size: Size) -> NDArray[np.float64]:
        height, width = self._resized(image_size, self.prompt_side)
        return np.array([width / image_size[1], height / image_size[0]])

    def restore(self, logits: Tensor, image_size: Size) -> Tensor:
        height, width = self._resized(image_size, self.prompt_side)
        square = F.interpolate(logits[None], (self.prompt_side, self.prompt_side), mode="bilinear", align_corners=False)
        kept = square[..., :height, :width]
        return F.interpolate(kept, image_size, mode="bilinear", align_corners=False)[0]

    @staticmethod
    def _resized(image_size: Size, side: int) -> Size:
        factor = side / max(image_size)
        height, width = (max(1, int(length * factor + 0.5)) for length in image_size)
        return height, width


@dataclass(frozen=True)
class Squash(Frame):
    """Squashed to a square, masks back in one step.

    As it stands EfficientSAM's: efficient_sam/efficient_sam.py (preprocess, predict_masks), commit d525f62.
    Antialiased, bilinear back and unclipped SAM 2's: facebookresearch/sam2@2b90b9f, sam2/utils/transforms.py.
    """

    side: int = 1024
    clip: bool = True
    antialias: bool = False
    back: str = "bicubic"

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        if image.shape[:2] != (self.side, self.side):
            pixels = F.interpolate(pixels, (self.side, self.side), mode="bilinear", antialias=self.antialias)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (pixels - mean) / std

    def scale(self, image_size: Size) -> NDArray[np.float64]:
        return np.array([self.side / image_size[1], self.side / image_size[0]])

    def restore(self, logits: Tensor, image_size: Size) -> Tensor:
        return F.interpolate(logits[None], image_size, mode=self.back)[0]
