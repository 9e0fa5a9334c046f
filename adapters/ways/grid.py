"""A grid of points over the image and, if wanted, over crops of it: segment_anything's automatic mask generator.

Source: segment_anything/automatic_mask_generator.py and utils/amg.py, commit dca509f.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as codec
from segment_anything.utils.amg import generate_crop_boxes, is_box_near_crop_edge

from adapters.adapter import Adapter, Embedding
from adapters.cards import ModelCard
from adapters.everything import Proposals, point_grid
from adapters.rle import encode_masks
from adapters.ways.found import Found, joined
from adapters.ways.small_regions import without_small_regions
from adapters.ways.way import Way, points_obstacle

Size = tuple[int, int]
Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class PointGrid(Way):
    """A grid of points; a model that detects gives what it finds by itself instead.

    Attributes:
        crop_layers: so many further layers; layer i has 2^i x 2^i crops, each encoded and asked by a grid of its own.
            What touches a crop's edge inside the image is left out.
        crop_overlap: how much crops of the first layer overlap, as a share of the image's shorter side; later layers
            share that among more crops.
        crop_points_factor: the points along a side are divided by this to the power of i.
        crop_nms: of masks of several crops whose boxes have a higher IoU than this, keep the one of the smallest crop.
        min_region: fill holes and remove islands of fewer pixels; 0 leaves masks as they are.
    """

    crop_layers: int = 0
    crop_overlap: float = 512 / 1500
    crop_points_factor: int = 1
    crop_nms: float = 0.7
    min_region: int = 0

    def obstacle(self, card: ModelCard) -> str | None:
        if card.everything and not self.crop_layers:
            return None
        return points_obstacle(card)

    def _propose(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding) -> Proposals:
        if self.crop_layers:
            proposals = self._over_crops(adapter, image, embedding).proposals()
        else:
            proposals = adapter.everything(embedding, self.settings)
        if not self.min_region:
            return proposals
        return without_small_regions(proposals, self.min_region, max(self.settings.box_nms, self.crop_nms))

    def _over_crops(self, adapter: Adapter, image: NDArray[np.uint8], embedding: Embedding) -> Found:
        """Return the masks of the image and of its crops, those of the smallest crops first."""
        height, width = image.shape[:2]
        parts, areas = [], []
        for crop, layer in zip(*generate_crop_boxes((height, width), self.crop_layers, self.crop_overlap), strict=True):
            x0, y0, x1, y1 = crop
            if x1 <= x0 or y1 <= y0:  # there are more crops than pixels
                continue
            if layer:
                embedding = adapter.encode(np.ascontiguousarray(image[y0:y1, x0:x1]))
            found = self._inside(adapter, embedding, layer, crop, (height, width))
            parts.append(_uncropped(found, crop, (height, width)) if layer else found)
            areas.append(np.full(len(found.rles), (x1 - x0) * (y1 - y0)))
        return joined(parts).without_duplicates(1 / np.concatenate(areas), self.crop_nms)

    def _inside(self, adapter: Adapter, embedding: Embedding, layer: int, crop: Crop, size: Size) -> Found:
        """Return the masks of a crop, in its own pixels."""
        side = int(self.settings.points_per_side / self.crop_points_factor**layer)
        found = adapter.found_at(embedding, point_grid(side, embedding.image_size), self.settings)
        cut = is_box_near_crop_edge(torch.from_numpy(found.boxes), list(crop), [0, 0, size[1], size[0]]).numpy()
        found = found.only(np.flatnonzero(~cut))
        return found.without_duplicates(found.predicted_iou, self.settings.box_nms)


def _uncropped(found: Found, crop: Crop, size: Size) -> Found:
    """Return masks of a crop in the image's pixels."""
    x0, y0, x1, y1 = crop
    rles = []
    for rle in found.rles:
        whole = np.zeros(size, np.uint8)
        whole[y0:y1, x0:x1] = codec.decode(rle)
        rles += encode_masks(torch.from_numpy(whole[None]))
    corner = np.array([x0, y0])
    boxes = found.boxes + np.tile(corner, 2).astype(np.float32)
    return found._replace(rles=rles, boxes=boxes, points=found.points + corner)
