"""Everything mode gives the masks of segment_anything's own automatic mask generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as codec
from segment_anything import SamAutomaticMaskGenerator

from adapters.everything import AMG, PROPOSALS, point_grid
from tests.conftest import read_image, read_json


def test_grid_is_segment_anythings():
    from segment_anything.utils.amg import build_point_grid

    np.testing.assert_allclose(point_grid(7, (333, 500)), build_point_grid(7) * (500, 333))


@pytest.mark.real_weights
@pytest.mark.parametrize("settings", [AMG, PROPOSALS], ids=["amg", "proposals"])
def test_equals_the_official_generator(mobile_sam, scene, settings):
    settings = replace(settings, points_per_side=5)
    generator = SamAutomaticMaskGenerator(
        mobile_sam.module,
        points_per_side=5,
        pred_iou_thresh=settings.predicted_iou,
        stability_score_thresh=settings.stability,
        box_nms_thresh=settings.box_nms,
        output_mode="coco_rle",
    )
    expected = generator.generate(scene)
    proposals = mobile_sam.everything(mobile_sam.encode(scene), settings)
    assert len(proposals) == len(expected) > 0
    ious = codec.iou(proposals.rles, [mask["segmentation"] for mask in expected], [0] * len(expected))
    assert np.diag(ious).min() > 0.99
    np.testing.assert_allclose(proposals.predicted_iou, [m["predicted_iou"] for m in expected], atol=1e-4)
    np.testing.assert_allclose(proposals.stability, [m["stability_score"] for m in expected], atol=1e-3)
    np.testing.assert_allclose(proposals.points, [m["point_coords"][0] for m in expected])
    x0, y0, w, h = np.array([m["bbox"] for m in expected]).T
    np.testing.assert_allclose(proposals.boxes, np.stack([x0, y0, x0 + w, y0 + h], axis=1), atol=1)


@pytest.mark.real_weights
@pytest.mark.shared
@pytest.mark.parametrize("image_id", [139, 20992])
def test_equals_the_recorded_official_masks(mobile_sam, shared, coco_folder, image_id):
    """16 points a side without score filters; the default 32 are compared once, outside the ordinary tests."""
    recorded = next(
        record
        for record in read_json(shared / "golden" / "everything_mobile_sam.json")
        if record["image_id"] == image_id and record["points_per_side"] == 16
    )["masks"]
    image = read_image(coco_folder / "images" / f"{image_id:012d}.jpg")
    proposals = mobile_sam.everything(mobile_sam.encode(image), replace(PROPOSALS, points_per_side=16))
    assert len(proposals) == len(recorded)
    ious = codec.iou(proposals.rles, [mask["segmentation"] for mask in recorded], [0] * len(recorded))
    assert ious.max(axis=0).min() > 0.99


def test_nothing_passes_filters_that_nothing_can_pass(random_mobile_sam, scene):
    proposals = random_mobile_sam.everything(
        random_mobile_sam.encode(scene), replace(AMG, points_per_side=2, predicted_iou=99.0)
    )
    assert len(proposals) == 0
    assert proposals.boxes.shape == (0, 4)
