"""FastSAM's pipeline, on random weights and on a real detector of the same architecture."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import adapters
from adapters.errors import InputError
from adapters.everything import PROPOSALS
from adapters.prompts import Prompts
from tests.conftest import with_real_weights

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="ultralytics isn't installed")


@pytest.fixture(scope="module")
def detector():
    """Return YOLOv8n-seg with its real weights behind FastSAM's prompt step. It is not FastSAM."""
    return with_real_weights("yolov8n_seg")


def test_random_weights_still_assemble_masks(scene):
    adapter = adapters.load("fast_sam_s", "random")
    embedding = adapter.encode(scene)
    assert len(embedding.found.masks) > 0
    masks = adapter.decode(embedding, Prompts.from_boxes([[0, 0, 50, 50], [100, 100, 200, 200]])).masks()
    assert masks.shape == (2, 480, 640)
    assert adapter.parameters() == adapter.card.parameters


@pytest.mark.real_weights
@pytest.mark.shared
def test_finds_what_ultralytics_own_predictor_finds(detector, busy_photo):
    """Its predictor doesn't move boxes to the border first, so boxes near it aren't compared."""
    from ultralytics.models.yolo.segment import SegmentationPredictor

    overrides = {"imgsz": 1024, "conf": 0.4, "iou": 0.9, "retina_masks": True, "rect": True, "save": False}
    predictor = SegmentationPredictor(overrides={**overrides, "device": "cpu", "mode": "predict", "verbose": False})
    predictor.setup_model(detector.network, verbose=False)
    found = predictor(busy_photo[..., ::-1].copy())[0]
    ours = detector.encode(busy_photo).found
    np.testing.assert_allclose(ours.confidence, found.boxes.conf, atol=1e-5)
    boxes = found.boxes.xyxy.numpy()
    inner = (boxes > 15).all(1) & (boxes[:, 2] < 625) & (boxes[:, 3] < 411)
    assert inner.any()
    np.testing.assert_allclose(ours.boxes[inner], boxes[inner], atol=1e-3)
    same = ours.masks.numpy()[inner].astype(bool) == found.masks.data.numpy()[inner].astype(bool)
    assert same.mean() > 0.9999


@pytest.mark.real_weights
@pytest.mark.shared
def test_a_detections_own_box_chooses_it(detector, busy_photo):
    embedding = detector.encode(busy_photo)
    areas = embedding.found.masks.flatten(1).sum(1)
    largest = int(areas.argmax())
    box = embedding.found.boxes[largest]
    candidates = detector.decode(embedding, Prompts.from_boxes([box]))
    np.testing.assert_array_equal(candidates.masks()[0], embedding.found.masks[largest].bool().numpy())
    assert candidates.scores[0, 0] == embedding.found.confidence[largest]


@pytest.mark.real_weights
@pytest.mark.shared
def test_more_is_proposed_without_a_threshold(detector, busy_photo):
    embedding = detector.encode(busy_photo)
    few, many = detector.everything(embedding), detector.everything(embedding, PROPOSALS)
    assert len(few) == len(embedding.found.masks) < len(many)
    assert (np.diff(many.scores) <= 0).all()


@pytest.mark.real_weights
def test_an_image_with_nothing_in_it_gives_empty_masks(detector):
    embedding = detector.encode(np.zeros((100, 120, 3), np.uint8))
    assert len(embedding.found.masks) == 0
    boxes = detector.decode(embedding, Prompts.from_boxes([[5, 5, 50, 50]]))
    points = detector.decode(embedding, Prompts.from_points([[[5, 5]]], [[1]]))
    assert not boxes.masks().any()
    assert not points.masks().any()
    assert np.isnan(boxes.scores).all()


def test_box_match_is_mask_or_box():
    with pytest.raises(InputError, match="mask or box"):
        adapters.load("fast_sam_s", "random", box_match="corner")


def test_an_option_of_another_family_is_refused():
    with pytest.raises(InputError, match="no such option"):
        adapters.load("mobile_sam", "random", box_match="box")


def test_ultralytics_changes_nothing_for_the_rest_of_the_process():
    """It would reset threads and print options, and have Pillow install packages for images it can't read."""
    code = """
import cv2, numpy, PIL.Image, torch
state = lambda: (PIL.Image.open, cv2.getNumThreads(), str(numpy.get_printoptions()), torch.get_num_threads())
before = state()
import adapters
adapters.family("fast_sam_s")
assert state() == before, (before, state())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ultralytics_stays_offline():
    from ultralytics import SETTINGS
    from ultralytics.utils import ONLINE

    adapters.load("fast_sam_s", "random")
    assert os.environ["YOLO_OFFLINE"] == "true"
    assert not ONLINE
    assert not SETTINGS["sync"]
