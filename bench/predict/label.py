"""All proposals of an image in one picture of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as codec

from adapters.everything import Proposals
from adapters.rle import areas


def label_image(proposals: Proposals, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Return (H, W) uint16: 0 where nothing was found, else a proposal's number, from 1, the smaller one on top."""
    labels = np.zeros(size, np.uint16)
    for index in np.argsort(-areas(proposals.rles), kind="stable"):
        labels[codec.decode(proposals.rles[index]).astype(bool)] = index + 1
    return labels
