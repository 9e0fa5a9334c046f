"""Boxes made from masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]


def tight_box(mask: NDArray[np.bool_], inclusive: bool = False) -> Box | None:
    """Return x0 y0 x1 y1 around a mask's outermost pixels, in pixels; None for an empty mask.

    Args:
        mask: (H, W).
        inclusive: let the right and the lower edge be those pixels' index instead of their far side
            (sam-hq, train/utils/misc.py, masks_to_boxes).
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    beyond = 0 if inclusive else 1
    return float(columns[0]), float(rows[0]), float(columns[-1] + beyond), float(rows[-1] + beyond)


def box_ious(masks: NDArray[np.bool_], box: Box) -> NDArray[np.float64]:
    """Return (K,) IoU, 0 to 1, of a box with the tight box of each of (K, H, W) masks; 0 for an empty mask."""
    return np.array([_iou(tight_box(mask), box) for mask in masks])


def _iou(first: Box | None, second: Box) -> float:
    if first is None:
        return 0.0
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    both = _area(first) + _area(second) - shared
    return shared / both if both > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
