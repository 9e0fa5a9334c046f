"""Ways to segment everything: crops, the hierarchical grid and boxes of objects give the official code's masks."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as codec
from segment_anything import SamAutomaticMaskGenerator

import adapters
from adapters.adapter import Adapter
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.everything import AMG, PROPOSALS, Boxes, point_grid
from adapters.prompts import Prompts
from adapters.rle import areas
from adapters.stages import listening
from adapters.ways.grid import PointGrid
from adapters.ways.hierarchical import COARSER, Hierarchical, points_between
from adapters.ways.objects import ObjectBoxes, boxes_of
from adapters.ways.points import by_decoding
from tests.conftest import read_json, with_real_weights
from tests.tiny_family import CARD, Tiny, TinyCandidates

HERE = Path(__file__).parent
FEW = replace(PROPOSALS, points_per_side=8, box_nms=0.7)


class TinyWithLogits(Tiny):
    """A family that isn't SAM-like and gives logits at the image's size."""

    _everything = Adapter._everything

    def _decode(self, embedding, prompts):
        own = super()._decode(embedding, prompts)
        return Restoring(own.logits, own.image_size)


class Restoring(TinyCandidates):
    """Its masks are the logits above 0 at the image's size."""

    def restored(self, rows, columns):
        height, width = self.image_size
        for row, column in zip(rows, columns, strict=True):
            yield torch.from_numpy(cv2.resize(self.logits[row, column], (width, height)))[None]


@pytest.fixture
def tiny() -> Adapter:
    return TinyWithLogits(CARD, Weights("random"))


@pytest.fixture(scope="module")
def small(scene):
    """Return a part of a drawn scene, 240 x 300."""
    return np.ascontiguousarray(scene[120:360, 150:450])


def counted(monkeypatch, adapter, name):
    """Return a list that grows by the number of prompts at each call of a method."""
    numbers, method = [], getattr(adapter, name)

    def call(embedding, prompts, *rest):
        numbers.append(len(prompts))
        return method(embedding, prompts, *rest)

    monkeypatch.setattr(adapter, name, call)
    return numbers


@pytest.mark.real_weights
def test_crops_are_segment_anythings(mobile_sam, small):
    settings = replace(PROPOSALS, points_per_side=4)
    generator = SamAutomaticMaskGenerator(
        mobile_sam.module,
        points_per_side=4,
        pred_iou_thresh=settings.predicted_iou,
        stability_score_thresh=settings.stability,
        box_nms_thresh=settings.box_nms,
        crop_n_layers=1,
        crop_n_points_downscale_factor=2,
        min_mask_region_area=150,
        output_mode="coco_rle",
    )
    expected = generator.generate(small)
    proposals = PointGrid(settings, crop_layers=1, crop_points_factor=2, min_region=150)(mobile_sam, small)
    assert len(proposals) == len(expected) > 0
    ious = codec.iou(proposals.rles, [mask["segmentation"] for mask in expected], [0] * len(expected))
    assert np.diag(ious).min() > 0.99
    np.testing.assert_allclose(proposals.predicted_iou, [m["predicted_iou"] for m in expected], atol=1e-4)
    np.testing.assert_allclose(proposals.points, [m["point_coords"][0] for m in expected])
    x0, y0, w, h = np.array([m["bbox"] for m in expected]).T
    np.testing.assert_allclose(proposals.boxes, np.stack([x0, y0, x0 + w, y0 + h], axis=1), atol=1)


@pytest.mark.real_weights
@pytest.mark.parametrize("case", [0, pytest.param(1, marks=pytest.mark.shared)])
def test_two_rounds_are_tiny_sams(mobile_sam, request, monkeypatch, case):
    """Recorded from the official function on MobileSAM's weights: area, box, scores, point of each mask, in order.

    16 steps of 640 px leave no remainder, 12 of 500 do: only then the fine grid's last column is inside.
    """
    recorded = read_json(HERE / "data" / "hierarchical.json")[case]
    image = request.getfixturevalue(recorded["image"])
    names = ("points_per_side", "predicted_iou", "stability", "box_nms")
    asked = counted(monkeypatch, mobile_sam, "found_at")
    settings = replace(AMG, **{name: recorded[name] for name in names})
    proposals = Hierarchical(settings, recorded["high_score"])(mobile_sam, image)
    assert asked == recorded["asked"]
    expected = np.array(recorded["masks"])
    assert len(proposals) == len(expected)
    np.testing.assert_allclose(areas(proposals.rles), expected[:, 0], rtol=1e-3, atol=2)
    x0, y0, w, h = expected[:, 1:5].T
    np.testing.assert_allclose(proposals.boxes, np.stack([x0, y0, x0 + w, y0 + h], axis=1), atol=1)
    np.testing.assert_allclose(proposals.predicted_iou, expected[:, 5], atol=1e-4)
    np.testing.assert_allclose(proposals.stability, expected[:, 6], atol=1e-3)
    np.testing.assert_allclose(proposals.points, expected[:, 7:9], atol=1e-3)


@pytest.mark.real_weights
@pytest.mark.shared
def test_boxes_of_objects_are_mobile_sam_v2s(shared, photo):
    """Every pixel of the official pipeline's 20 masks, the largest first; the one mask's logits and predicted IoU."""
    recorded = np.load(shared / "parity" / "mobile_sam_v2_20992.npz")
    confidence = np.linspace(0.9, 0.1, 20)
    adapter = with_real_weights("mobile_sam_v2")
    embedding = adapter.encode(photo)
    proposals = ObjectBoxes(find=lambda image: Boxes(recorded["boxes"], confidence))(adapter, photo, embedding)
    shape, order = tuple(recorded["everything_masks_shape"]), recorded["everything_area_order"]
    expected = np.unpackbits(recorded["everything_masks_packed"])[: np.prod(shape)].reshape(shape).astype(bool)
    np.testing.assert_array_equal([codec.decode(rle) for rle in proposals.rles], expected[order])
    np.testing.assert_array_equal(proposals.boxes, recorded["boxes"][order])
    np.testing.assert_allclose(proposals.scores, confidence[order], rtol=1e-6)
    np.testing.assert_allclose(proposals.predicted_iou, recorded["everything_iou_predictions"][order], atol=1e-4)
    candidates = adapter.decode(embedding, Prompts.from_boxes(recorded["boxes"]))
    assert candidates.scores.shape == (20, 1)
    assert (candidates.best() == 0).all()
    np.testing.assert_allclose(candidates.logits[:, 0, ::8, ::8], recorded["everything_low_res_logits"], atol=5e-4)


@pytest.mark.parametrize("settings", [AMG, replace(PROPOSALS, predicted_iou=0.3)])
def test_the_short_way_finds_what_decoding_finds(random_mobile_sam, small, settings):
    embedding = random_mobile_sam.encode(small)
    points, heard = point_grid(3, embedding.image_size), []
    short = random_mobile_sam.found_at(embedding, points, settings, lambda logits: heard.append(logits.sum()))
    plain = by_decoding(random_mobile_sam, embedding, points, settings, lambda logits: heard.append(-logits.sum()))
    assert short.rles == plain.rles
    for own, other in zip(short[1:], plain[1:], strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5)
    assert abs(float(sum(heard, start=torch.zeros(())))) < 1


@pytest.mark.real_weights
@pytest.mark.shared
@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics isn't installed")
def test_a_detectors_boxes(busy_photo):
    """They are the boxes of what it segments, but that a box of nearly all isn't made the whole."""
    detector = with_real_weights("yolov8n_seg")
    found, boxes = detector.encode(busy_photo).found, boxes_of(detector, AMG)(busy_photo)
    np.testing.assert_array_equal(boxes.confidence, found.confidence)
    partial = np.prod(boxes.boxes[:, 2:] - boxes.boxes[:, :2], axis=1) < 0.8 * np.prod(busy_photo.shape[:2])
    assert partial.sum() > 5
    np.testing.assert_array_equal(boxes.boxes[partial], found.boxes[partial])
    few = boxes_of(detector, replace(AMG, max_detections=3))(busy_photo)
    np.testing.assert_array_equal(few.confidence, boxes.confidence[:3])


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics isn't installed")
def test_a_detectors_boxes_overlap_the_image():
    detector = adapters.load("yolov8n_seg", "random")
    boxes = detector.detect(np.zeros((40, 300, 3), np.uint8), PROPOSALS).boxes
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes >= 0).all()
    assert (boxes <= (300, 40, 300, 40)).all()


@pytest.mark.parametrize("size", [(64, 96), (96, 131), (333, 500), (480, 640)])
@pytest.mark.parametrize("side", [8, 12, 16])
def test_the_second_round_is_the_fine_grid_but_for_what_is_covered(size, side):
    """By counting: each coarse point has a share of 4 x 4 places, itself among them, and all lie on whole steps."""
    height, width = size
    covered = np.random.default_rng(side).random(size) < 0.3
    coarse = point_grid(side // COARSER, size)
    expected = []
    for x, y in coarse:
        for right in range(-1, 3):
            for down in range(-1, 3):
                place = x + right * (width // side), y + down * (height // side)
                inside = place[0] < width and place[1] < height
                if (right, down) != (0, 0) and inside and not covered[int(place[1]), int(place[0])]:
                    expected.append(place)
    found = points_between(coarse, covered, side)
    np.testing.assert_allclose(sorted(found.tolist()), sorted(expected))
    assert len(points_between(coarse, np.zeros(size, bool), side)) <= side**2 - len(coarse)
    assert len(points_between(coarse, np.ones(size, bool), side)) == 0


def test_any_family_that_gives_logits_has_a_grid(tiny, small):
    """The masks are those that its own decoding gives, each found mask from its own point."""
    proposals = PointGrid(FEW)(tiny, small)
    assert len(proposals) > 3
    embedding = tiny.encode(small)
    for rle, point in zip(proposals.rles, proposals.points, strict=True):
        candidates = tiny.decode(embedding, Prompts.from_points([[point]], [[1]]))
        assert any((candidates.masks(own)[0] == codec.decode(rle)).all() for own in (1, 2, 3))
    assert (np.diff(proposals.predicted_iou) <= 0).all()


def test_two_rounds_ask_less_where_the_first_is_sure(tiny, small, monkeypatch):
    asked = counted(monkeypatch, tiny, "found_at")
    for high in (-99.0, 1.0, 99.0):
        Hierarchical(replace(FEW, points_per_side=12), high)(tiny, small)
    assert asked[::2] == [9, 9, 9]
    everywhere, somewhere, nowhere = asked[1::2]
    assert 0 == everywhere < somewhere < nowhere <= 144 - 9


def test_crops_show_what_is_small_and_nothing_cut_off(tiny, small):
    plain, cropped = PointGrid(FEW)(tiny, small), PointGrid(FEW, crop_layers=1)(tiny, small)
    assert len(cropped) >= 1
    assert all(rle["size"] == list(small.shape[:2]) for rle in cropped.rles)
    tight = codec.toBbox(cropped.rles)
    tight[:, 2:] += tight[:, :2] - 1
    np.testing.assert_allclose(cropped.boxes, tight)
    assert {rle["counts"] for rle in plain.rles} & {rle["counts"] for rle in cropped.rles}


def test_crops_of_an_image_of_few_pixels(tiny):
    image = np.random.default_rng(0).integers(0, 255, (5, 3, 3)).astype(np.uint8)
    proposals = PointGrid(replace(FEW, points_per_side=2), crop_layers=4)(tiny, image)
    assert all(rle["size"] == [5, 3] for rle in proposals.rles)


def test_the_largest_mask_comes_first_and_the_surest_boxes_are_taken(tiny, small):
    boxes = np.array([[10, 10, 60, 60], [5, 5, 290, 230], [100, 100, 110, 110], [50, 50, 150, 150]])
    confidence = np.array([0.5, 0.1, 0.9, 0.7])
    proposals = ObjectBoxes(replace(AMG, max_detections=3), lambda image: Boxes(boxes, confidence))(tiny, small)
    assert sorted(proposals.scores.tolist()) == pytest.approx([0.5, 0.7, 0.9])
    assert (np.diff(areas(proposals.rles)) <= 0).all()
    assert np.isnan(proposals.stability).all()


@pytest.mark.parametrize("found", [Boxes(np.zeros((0, 4)), np.zeros(0)), Boxes(np.zeros(0), np.zeros(0))])
def test_no_boxes_no_proposals(tiny, small, found):
    proposals = ObjectBoxes(find=lambda image: found)(tiny, small)
    assert len(proposals) == 0
    assert proposals.boxes.shape == (0, 4)
    assert proposals.points.shape == (0, 2)


def test_more_than_255_boxes(tiny, small):
    """There pycocotools' areas of many masks fail."""
    boxes = np.tile([[10.0, 10, 60, 60]], (300, 1))
    proposals = ObjectBoxes(find=lambda image: Boxes(boxes, np.ones(300)))(tiny, small)
    assert len(proposals) == AMG.max_detections == 300


def test_nothing_found_anywhere(tiny, small):
    settings = replace(FEW, predicted_iou=99.0)
    for way in (PointGrid(settings), PointGrid(settings, crop_layers=1, min_region=9), Hierarchical(settings)):
        proposals = way(tiny, small)
        assert len(proposals) == 0
        assert proposals.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("model", "way", "said"),
    [
        ("grabcut", PointGrid(), "it has no everything mode"),
        ("mobile_sam_v2", PointGrid(), "it takes no points"),
        ("mobile_sam_v2", Hierarchical(), "it takes no points"),
        ("fast_sam_s", Hierarchical(), "it detects"),
        ("fast_sam_s", PointGrid(crop_layers=1), "it detects"),
        ("grabcut", PointGrid(crop_layers=1), "it has no everything mode"),
        ("fast_sam_s", PointGrid(), None),
        ("mobile_sam_v2", ObjectBoxes(), None),
        ("grabcut", ObjectBoxes(), None),
        ("efficient_sam_ti", Hierarchical(), None),
    ],
)
def test_what_a_model_cannot_be_asked_is_said_before(model, way, said):
    found = way.obstacle(adapters.card(model))
    assert (found is None) == (said is None)
    assert said is None or said in found


def test_a_model_that_cannot_is_refused_in_a_line(small):
    with pytest.raises(InputError, match="grabcut: everything can't be asked for this way: it has no everything mode"):
        PointGrid()(adapters.load("grabcut"), small)
    with pytest.raises(InputError, match="grabcut finds no boxes"):
        adapters.load("grabcut").detect(small)
    with pytest.raises(InputError, match="boxes of objects are needed"):
        ObjectBoxes()(adapters.load("grabcut"), small)


def test_a_family_without_logits_is_refused_in_a_line(small):
    with pytest.raises(InputError, match="gives no logits at the image's size"):
        Hierarchical(FEW)(Tiny(CARD, Weights("random")), small)


def test_all_of_it_is_one_stage(tiny, small):
    heard = []
    with listening(lambda *event: heard.append(event[0])):
        PointGrid(replace(FEW, points_per_side=2), crop_layers=1)(tiny, small)
    assert heard == ["encode", "everything"]
