"""Masks on a device as COCO's run-length encoding."""

from __future__ import annotations

from pycocotools import mask as codec
from torch import Tensor

from adapters.everything import RLE


def encode_masks(masks: Tensor) -> list[RLE]:
    """Return (K, H, W) uint8 0/1 masks as COCO RLE, with the counts as text."""
    columns_first = masks.transpose(1, 2).contiguous().cpu().numpy().transpose(2, 1, 0)
    return [{**rle, "counts": rle["counts"].decode("ascii")} for rle in codec.encode(columns_first)]
