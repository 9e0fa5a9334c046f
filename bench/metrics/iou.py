"""Intersection over union of masks, in percent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-7
"""Added to the union, as sam_eval_utils.iou (mit-han-lab/efficientvit) does: two empty masks score 0."""


def iou(answers: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU in percent of each of (K, H, W) answers with the (H, W) truth."""
    rows = np.flatnonzero(truth.any(axis=1))
    true_area = np.count_nonzero(truth)
    if len(rows):
        band = slice(rows[0], rows[-1] + 1)
        shared = np.array([np.count_nonzero(answer[band] & truth[band]) for answer in answers])
    else:
        shared = np.zeros(len(answers), dtype=np.int64)
    areas = np.array([np.count_nonzero(answer) for answer in answers])
    return np.asarray(100.0 * shared / (true_area + areas - shared + EPSILON), dtype=np.float64)
