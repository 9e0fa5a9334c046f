"""True masks as some evaluations see them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from bench.protocols.clicks import frame_size


def round_trip(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an (H, W) mask after a trip to 1024 px along the long side (nearest) and back (bilinear, above 0).

    EdgeSAM's evaluation does that to its ground truth (training/data/coco_dataset.py, evaluation/eval_mIoU.py); it
    grows the mask by about half a pixel, more in images that are enlarged.
    """
    height, width = mask.shape
    there = interpolate(torch.from_numpy(mask)[None, None].float(), frame_size(height, width), mode="nearest")
    back = interpolate(there, (height, width), mode="bilinear", align_corners=False)
    return np.asarray((back > 0.0)[0, 0].numpy())
