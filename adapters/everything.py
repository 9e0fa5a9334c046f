"""Segmenting everything: how it is asked for, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RLE = dict[str, Any]


@dataclass(frozen=True)
class EverythingSettings:
    """How everything in an image is asked for.

    The defaults are those of SamAutomaticMaskGenerator (segment_anything/automatic_mask_generator.py); the detector
    fields are FastSAM's (Inference.py: conf 0.4, iou 0.9; ultralytics' max_det 300), for families that detect.

    Attributes:
        points_per_side: the grid has this many points along each side, at the centres of equal cells.
        predicted_iou: keep a mask whose predicted IoU is above this; 0 keeps all.
        stability: keep a mask whose stability score is at least this; 0 keeps all.
        stability_offset: the stability score is the IoU of the mask at logits above +offset and above -offset.
        box_nms: of masks whose boxes have a higher IoU than this, keep the one of highest predicted IoU.
        confidence: detectors: keep detections above this.
        detector_nms: detectors: the IoU of the network's own non-maximum suppression.
        max_detections: detectors: at most so many an image.
    """

    points_per_side: int = 32
    predicted_iou: float = 0.88
    stability: float = 0.95
    stability_offset: float = 1.0
    box_nms: float = 0.7
    confidence: float = 0.4
    detector_nms: float = 0.9
    max_detections: int = 300


AMG = EverythingSettings()
"""The automatic mask generator's defaults."""

PROPOSALS = EverythingSettings(
    predicted_iou=0.0, stability=0.0, box_nms=0.9, confidence=0.001, detector_nms=0.9, max_detections=1000
)
"""No filters and NMS 0.9, as for object proposals (SAM paper, appendix D), on the default grid."""

SETTINGS = {"amg": AMG, "proposals": PROPOSALS}


@dataclass
class Proposals:
    """P masks of one image, class-agnostic.

    Attributes:
        rles: P masks as COCO RLE (size, counts as text).
        boxes: (P, 4) float32, x0 y0 x1 y1 of the masks' outermost pixels, or of the detector.
        scores: (P,) float32 by which they are ranked: the mean of predicted IoU and stability score (SAM paper,
            appendix D), or a detector's confidence.
        predicted_iou, stability: (P,) float32, NaN where there is none.
        points: (P, 2) float64, the point each came from, x y in pixels, NaN for detectors.
    """

    rles: list[RLE]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    points: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rles)


class Boxes(NamedTuple):
    """K boxes of what a detector found: (K, 4) x0 y0 x1 y1 in pixels, (K,) confidence."""

    boxes: NDArray[np.floating]
    confidence: NDArray[np.floating]


def point_grid(points_per_side: int, image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (points_per_side², 2) points, x y in pixels, at the centres of equal cells, row by row."""
    height, width = image_size
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    x, y = np.meshgrid(centres * width, centres * height)
    return np.stack([x.ravel(), y.ravel()], axis=1)
