"""How well a model's masks agree with another model's: no ground truth is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as codec

from bench.metrics.bootstrap import interval_of_ratio
from bench.metrics.number import Number


def agreement(own: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]]) -> Number:
    """Return the mean IoU in percent of a model's masks with a reference model's for the same prompts.

    Args:
        own, reference: one mask for each prompt, COCO results format with the prompt's number in the image as ``pair``.
    """
    theirs = {(found["image_id"], found["pair"]): found["segmentation"] for found in reference}
    image_ids, values = [], []
    for found in own:
        other = theirs.get((found["image_id"], found["pair"]))
        if other is not None:
            image_ids.append(found["image_id"])
            values.append(100.0 * float(codec.iou([found["segmentation"]], [other], [0])[0, 0]))
    if not values:
        return Number("miou", np.nan, np.nan, np.nan, 0)
    _, image = np.unique(image_ids, return_inverse=True)
    sums, counts = (np.bincount(image, weights=weights).astype(float) for weights in (np.array(values), None))
    return Number("miou", float(np.mean(values)), *interval_of_ratio(sums, counts), len(values))
