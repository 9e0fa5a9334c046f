"""Detector and segmenter together: each answers as it does alone, by the rules of its card."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as codec

import adapters
from adapters.cards import card
from adapters.grounding import GroundSettings
from adapters.prompts import Prompts, Words
from adapters.stages import listening
from tests.small_words import grounded, register
from tests.tiny_family import CARD

pytest.importorskip("transformers")

WORDS = Words.from_caption("a disc. a square. a dog")
TINY = CARD.model_copy(update={"module": "tests.tiny_family"})
PIPELINES = {
    "lang_sam": (("grounding_dino_base", "sam2.1_hiera_small"), 0.3, 0.25, None, 0),
    "grounded_sam": (("grounding_dino_tiny", "sam_vit_h"), 0.3, 0.25, None, "single"),
    "grounded_mobile_sam": (("grounding_dino_tiny", "mobile_sam"), 0.25, 0.25, 0.8, "best"),
}
"""Parts, thresholds of boxes and of text, non-maximum suppression and mask, as read from each pipeline's code."""


@pytest.fixture
def load(monkeypatch):
    """Return a function that loads a pipeline with the small detector and a tiny segmenter."""
    monkeypatch.setattr("adapters.grounding_dino.SHORTEST", 160)
    monkeypatch.setattr("adapters.grounding_dino.LONGEST", 266)

    def small(like: str, segmenter: str = "tiny"):
        register(monkeypatch, TINY, grounded("small", like, segmenter))
        return adapters.load("small", "random")

    return small


@pytest.mark.parametrize("name", list(PIPELINES))
def test_cards_hold_what_the_pipelines_code_says(name):
    parts, threshold, text_threshold, nms, mask = PIPELINES[name]
    chosen = card(name)
    assert chosen.parts == parts
    told = GroundSettings(**chosen.architecture["grounding"])
    assert told == GroundSettings(threshold, text_threshold, nms)
    assert chosen.architecture["mask"] == mask


@pytest.mark.parametrize("name", list(PIPELINES))
def test_masks_are_the_segmenter_s_for_the_detector_s_boxes(load, scene, name):
    adapter = load(name)
    embedding = adapter.encode(scene)
    found = adapter.ground(embedding, WORDS, GroundSettings(threshold=0.3, max_detections=11))
    alone = adapter.detector.ground(
        adapter.detector.encode(scene), WORDS, GroundSettings(threshold=0.3, max_detections=11)
    )
    np.testing.assert_array_equal(found.boxes, alone.boxes)
    np.testing.assert_array_equal(found.phrases, alone.phrases)
    assert len(found) == 11, "more than are brought to the image's size at once"
    candidates = adapter.segmenter.decode(adapter.segmenter.encode(scene), Prompts.from_boxes(alone.boxes))
    expected = candidates.masks({"lang_sam": 0, "grounded_sam": "single", "grounded_mobile_sam": "best"}[name])
    np.testing.assert_array_equal(np.stack([codec.decode(rle) for rle in found.rles]).astype(bool), expected)


def test_boxes_found_twice_are_left_out_before_they_are_segmented(load, scene):
    adapter = load("grounded_mobile_sam")
    settings = GroundSettings(threshold=0.0, nms=0.1)
    found = adapter.ground(adapter.encode(scene), WORDS, settings)
    assert 0 < len(found) < 60
    assert len(found.rles) == len(found)
    xywh = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1).astype(float)
    overlaps = codec.iou(xywh, xywh, [0] * len(xywh)) - np.eye(len(xywh))
    assert overlaps.max() <= 0.1


def test_nothing_found_is_an_answer(load, scene):
    found = load("lang_sam").ground(load("lang_sam").encode(scene), WORDS, GroundSettings(threshold=1.0))
    assert (len(found), found.rles, found.boxes.shape) == (0, [], (0, 4))


def test_a_real_segmenter(load, scene):
    adapter = load("grounded_mobile_sam", "mobile_sam")
    found = adapter.ground(adapter.encode(scene), WORDS)
    assert len(found) == len(found.rles) > 0
    assert {tuple(rle["size"]) for rle in found.rles} == {scene.shape[:2]}
    assert adapter.parameters() == card("small_dino").parameters + card("mobile_sam").parameters


def test_each_part_s_stages_are_marked(load, scene):
    heard = []
    adapter = load("grounded_sam")
    with listening(lambda stage, prompts, seconds: heard.append(stage)):
        adapter.ground(adapter.encode(scene), WORDS)
    assert heard == ["preprocess", "encode", "ground", "decode", "postprocess"]
