"""Masks as COCO's run-length encoding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as codec
from torch import Tensor

from adapters.everything import RLE


def encode_masks(masks: Tensor) -> list[RLE]:
    """Return (K, H, W) uint8 0/1 masks as COCO RLE, with the counts as text."""
    columns_first = masks.transpose(1, 2).contiguous().cpu().numpy().transpose(2, 1, 0)
    return [{**rle, "counts": rle["counts"].decode("ascii")} for rle in codec.encode(columns_first)]


def areas(rles: Sequence[RLE]) -> NDArray[np.int64]:
    """Return (K,) areas in pixels. One by one: pycocotools' own for many fails above 255 of them with NumPy 2."""
    return np.array([codec.area(rle) for rle in rles], np.int64)
