"""Holes and islands of few pixels in proposals.

Source: segment_anything/automatic_mask_generator.py (postprocess_small_regions), commit dca509f.
"""

from __future__ import annotations

import numpy as np
import torch
from pycocotools import mask as codec
from segment_anything.utils.amg import batched_mask_to_box, remove_small_regions
from torchvision.ops import nms

from adapters.everything import Proposals
from adapters.rle import encode_masks


def without_small_regions(proposals: Proposals, least: int, overlap: float) -> Proposals:
    """Fill holes and remove islands of fewer than ``least`` pixels; the largest part of a mask stays.

    Of masks whose boxes then have a higher IoU than ``overlap`` one is kept, the best of those that were left as they
    were, if there is one. Such masks come first.
    """
    if not len(proposals):
        return proposals
    rles, boxes, untouched = [], [], []
    for rle, box in zip(proposals.rles, proposals.boxes, strict=True):
        mask, filled = remove_small_regions(codec.decode(rle).astype(bool), least, mode="holes")
        mask, removed = remove_small_regions(mask, least, mode="islands")
        changed = torch.from_numpy(mask)
        untouched.append(not (filled or removed))
        boxes.append(box if untouched[-1] else batched_mask_to_box(changed).numpy())
        rles.append(rle if untouched[-1] else encode_masks(changed[None].view(torch.uint8))[0])
    edges = np.array(boxes, np.float32)
    kept = nms(torch.from_numpy(edges), torch.tensor(untouched).float(), overlap).numpy()
    return Proposals(
        rles=[rles[row] for row in kept],
        boxes=edges[kept],
        scores=proposals.scores[kept],
        predicted_iou=proposals.predicted_iou[kept],
        stability=proposals.stability[kept],
        points=proposals.points[kept],
    )
