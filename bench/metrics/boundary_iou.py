"""Boundary IoU of masks, in percent: the IoU of the bands of pixels inside their contours (Cheng et al. 2021)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.metrics.iou import iou

_SQUARE = np.ones((3, 3), np.uint8)


def boundary_iou(answers: NDArray[np.bool_], truth: NDArray[np.bool_], ratio: float = 0.02) -> NDArray[np.float64]:
    """Return the boundary IoU in percent of each of (K, H, W) answers with the (H, W) truth; two empty masks score 0.

    A mask's boundary is what erosion with a 3x3 square, as often as the band is wide, takes from it; beyond the image
    there is no mask (bowenc0221/boundary-iou-api, boundary_iou/utils/boundary_utils.py, mask_to_boundary).

    Args:
        answers: the masks to score.
        truth: the true mask.
        ratio: the band's width as a share of the image's diagonal.
    """
    band = band_width(truth.shape[0], truth.shape[1], ratio)
    masks = _within_joint_box(np.concatenate([answers, truth[None]]))
    boundaries = np.stack([mask - cv2.erode(mask, _SQUARE, iterations=band) for mask in masks]).view(bool)
    return iou(boundaries[:-1], boundaries[-1])


def band_width(height: int, width: int, ratio: float = 0.02) -> int:
    """Return how wide the boundary of a mask of this size is, in pixels, at least 1."""
    return max(1, round(ratio * math.hypot(height, width)))


def _within_joint_box(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the masks' joint bounding box with one row or column of zeros around it.

    Erosion leaves a pixel where all pixels within the band's width are of the mask. Whatever window reaches beyond the
    box meets these zeros, so that the result is that of the whole image.
    """
    joint = np.asarray(masks.any(axis=0))
    rows, columns = np.flatnonzero(joint.any(axis=1)), np.flatnonzero(joint.any(axis=0))
    if not len(rows):
        return np.zeros((len(masks), 3, 3), np.uint8)
    held = masks[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(held.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
