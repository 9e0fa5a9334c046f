"""Words are checked when they are made; detections are ranked, and those found twice are removed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import adapters
from adapters.adapter import check_takes
from adapters.cards import card, cards
from adapters.checkpoints import resolve
from adapters.complexity import complexity
from adapters.errors import InputError
from adapters.grounding import Grounded, GroundSettings, join
from adapters.prompts import Words
from tests.tiny_family import CARD, Tiny


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a dog. a cat", ("a dog", "a cat")),
        ("A Dog.", ("A Dog",)),
        (" a\tdog .. \n a  cat . ", ("a dog", "a cat")),
        ("狗. éléphant. 🐘", ("狗", "éléphant", "🐘")),
        ("dog. dog", ("dog", "dog")),
        ("[SEP]. <b>; rm -rf", ("[SEP]", "<b>; rm -rf")),
    ],
)
def test_a_caption_is_cut_at_full_stops(caption, phrases):
    assert Words.from_caption(caption).phrases == phrases


@pytest.mark.parametrize("caption", ["", "   ", ".", " . . ", "\n"])
def test_an_empty_caption_gets_one_line(caption):
    with pytest.raises(InputError, match="no phrase") as caught:
        Words.from_caption(caption)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("phrases", "said"),
    [
        ([], "no phrase"),
        (["dog", ""], "phrase 1 is empty"),
        (["dog", " \t"], "phrase 1 is empty"),
        (["dog", None], "phrase 1 isn't text"),
        (["dog", b"cat"], "phrase 1 isn't text"),
        (["d\udcffg"], "phrase 0 isn't text"),
        ("dog", "a list of phrases"),
    ],
)
def test_phrases_are_checked(phrases, said):
    with pytest.raises(InputError, match=said):
        Words.from_phrases(phrases)


def test_a_phrase_may_hold_a_full_stop():
    assert Words.from_phrases(["st. bernard", " cat"]).phrases == ("st. bernard", "cat")


def test_words_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Words.from_caption("dog").phrases = ("cat",)


def test_a_model_that_takes_no_words_says_so(scene):
    words = Words.from_caption("dog")
    for name in adapters.names():
        if "text" not in card(name).prompts:
            with pytest.raises(InputError, match=f"{name} takes no words"):
                check_takes(card(name), words)
    tiny = Tiny(CARD, resolve(CARD))
    with pytest.raises(InputError, match="tiny takes no words"):
        tiny.ground(tiny.encode(scene), words)


def detections(count, seed=0, masks=False):
    random = np.random.default_rng(seed)
    boxes = random.uniform(0, 60, (count, 2))
    boxes = np.concatenate([boxes, boxes + random.uniform(5, 50, (count, 2))], axis=1).astype(np.float32)
    rles = [{"size": [1, 1], "counts": str(number)} for number in range(count)] if masks else None
    scores = random.permutation(count).astype(np.float32) / count
    return Grounded(boxes, scores, random.integers(0, 5, count), [f"{seed} {row}" for row in range(count)], rles)


def iou(first, second):
    size = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = np.prod(size.clip(0))
    return shared / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_boxes_found_twice_are_removed(threshold):
    """Against the rule written plainly: best first, whatever overlaps a kept one by more is left out."""
    found = detections(60)
    kept = []
    for row in np.argsort(-found.scores):
        if all(iou(found.boxes[row], found.boxes[other]) <= threshold for other in kept):
            kept.append(row)
    joined = join([found], GroundSettings(nms=threshold))
    assert joined.labels == [f"0 {row}" for row in kept]
    assert 1 < len(kept) < 60


@pytest.mark.parametrize("masks", [False, True])
def test_several_passes_are_ranked_together(masks):
    first, second = detections(20, 1, masks), detections(30, 2, masks)
    joined = join([first, second], GroundSettings(max_detections=25))
    scores = np.concatenate([first.scores, second.scores])
    labels = np.array([*first.labels, *second.labels])
    order = np.argsort(-scores, kind="stable")[:25]
    np.testing.assert_array_equal(joined.scores, scores[order])
    assert joined.labels == labels[order].tolist()
    np.testing.assert_array_equal(joined.boxes, np.concatenate([first.boxes, second.boxes])[order])
    assert (joined.rles is not None) == masks


def test_a_composition_has_the_parameters_of_its_parts():
    clip = 151_277_313  # ViT-B/32, of which OpenAI's model card says 151 M
    made = [one for one in cards().values() if one.parts and "text" in one.prompts]
    assert len(made) >= 5
    for one in made:
        own = clip if one.family == "clip_words" else 0
        assert one.parameters == own + sum(card(part).parameters for part in one.parts)


def test_operations_that_depend_on_words_are_not_counted():
    for name in ("lang_sam", "grounding_dino_tiny", "fast_sam_s_clip"):
        with pytest.raises(InputError, match="depend on the words"):
            complexity(name)


def test_weights_of_a_composition_are_those_of_its_parts(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    chosen = card("grounded_mobile_sam")
    weights = resolve(chosen, "random")
    assert (weights.identity, weights.official) == ("random", False)
    assert [part.identity for part in weights.parts] == ["random", "random"]
    with pytest.raises(InputError, match=r"those of grounding_dino_tiny, mobile_sam, but file\.pt was given"):
        resolve(chosen, "file.pt")
    with pytest.raises(InputError, match="sambench weights fetch mobile_sam"):
        resolve(chosen, {"grounding_dino_tiny": "random"})
    file = tmp_path / "mobile.pt"
    file.write_bytes(b"not checked here")
    mixed = {"grounding_dino_tiny": "random", "mobile_sam": file}
    assert resolve(chosen, mixed, allow_unknown_hash=True).identity == "random"
    assert resolve(chosen, mixed, allow_unknown_hash=True).parts[1].path == file
