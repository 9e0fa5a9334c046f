"""Adapters that are as they should be pass, and each that is broken in one way is caught, and told how."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from itertools import cycle

import cv2
import numpy as np
import pytest
import torch

import adapters
from adapters.checkpoints import Weights
from adapters.prompts import Prompts
from bench.check_adapter.run import CHECKS, Finding, check
from bench.check_adapter.scene import draw
from bench.cli import main
from tests.tiny_family import CARD, Tiny, TinyCandidates

CALLS = cycle((0.0, 0.7, 1.4))
NONE = Weights("none", official=True)


def findings(kind: type[Tiny] = Tiny, **changes: object) -> list[Finding]:
    """Return what is found about an adapter, with changes to its card."""
    card = CARD.model_copy(update=changes)
    return list(check(card, lambda: kind(card, NONE)))


def test_a_good_adapter_passes_every_check():
    found = findings()
    assert [finding.verdict for finding in found] == ["passed"] * len(CHECKS), found[-1]


def candidates_with(change):
    """Return an adapter whose candidates are changed."""

    class Broken(Tiny):
        def _decode(self, embedding, prompts):
            return change(super()._decode(embedding, prompts))

    return Broken


def prompts_with(change):
    """Return an adapter that changes its prompts before it answers."""

    class Broken(Tiny):
        def _decode(self, embedding, prompts):
            return super()._decode(embedding, change(prompts))

    return Broken


def scores_with(change):
    def changed(candidates):
        candidates.scores = change(candidates.scores)
        return candidates

    return candidates_with(changed)


def masks_with(change):
    class Masks(TinyCandidates):
        def _masks(self, rows, columns):
            return change(super()._masks(rows, columns))

    return candidates_with(lambda own: Masks(own.logits, own.image_size))


def logits_with(change):
    return candidates_with(lambda own: TinyCandidates(change(own.logits), own.image_size))


def moved(change):
    """Return a change of prompts' places: (..., 2) x y to others."""

    def changed(prompts):
        boxes = prompts.boxes
        if boxes is not None:
            corners = change(boxes.reshape(-1, 2, 2))
            boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        points = None if prompts.points is None else change(prompts.points)
        return Prompts(boxes, points, prompts.labels, prompts.logits)

    return changed


class Training(Tiny):
    def __init__(self, card, weights):
        super().__init__(card, weights)
        self.norm.train()


class HiddenTraining(Tiny):
    def __init__(self, card, weights):
        super().__init__(card, weights)
        dropout = torch.nn.Dropout()
        self.hidden = lambda values: dropout(values)


class Unmarked(Tiny):
    def _encode(self, image):
        from adapters.stages import listening

        with listening(lambda *heard: None):
            return super()._encode(image)


class WritesToImages(Tiny):
    def _encode(self, image):
        embedding = super()._encode(image)
        image[0, 0] = 255 - image[0, 0]
        return embedding


class WritesToPrompts(Tiny):
    def _decode(self, embedding, prompts):
        answer = super()._decode(embedding, prompts)
        if prompts.boxes is not None:
            torch.from_numpy(prompts.boxes).add_(1)
        return answer


class SizeTurned(Tiny):
    def _encode(self, image):
        embedding = super()._encode(image)
        return replace(embedding, image_size=embedding.image_size[::-1])


class Stateful(Tiny):
    def _encode(self, image):
        self.last = super()._encode(image)
        return self.last

    def _decode(self, embedding, prompts):
        last = cv2.resize(self.last.pixels, embedding.image_size[::-1])
        return super()._decode(replace(embedding, pixels=last), prompts)


class Unscaled(Tiny):
    def _decode(self, embedding, prompts):
        answer = super()._decode(replace(embedding, pixels=cv2.resize(embedding.pixels, (128, 96))), prompts)
        return TinyCandidates(answer.logits, embedding.image_size)


class RandomAnswers(Tiny):
    def _decode(self, embedding, prompts):
        answer = super()._decode(embedding, prompts)
        return TinyCandidates(answer.logits + next(CALLS), answer.image_size)


class UnseededWeights(Tiny):
    def __init__(self, card, weights):
        super().__init__(card, weights)
        self.offset = next(CALLS)

    def _decode(self, embedding, prompts):
        answer = super()._decode(embedding, prompts)
        return TinyCandidates(answer.logits + self.offset, answer.image_size)


class RefusesNothing(Tiny):
    def decode(self, embedding, prompts):
        return self._decode(embedding, prompts)


class FailsOnManyPoints(Tiny):
    def _decode(self, embedding, prompts):
        if prompts.points is not None and prompts.points.shape[1] > 6:
            raise IndexError("index 6 is out of bounds")
        return super()._decode(embedding, prompts)


class PaddingIsBackground(Tiny):
    def _decode(self, embedding, prompts):
        if prompts.labels is not None:
            labels = np.where(prompts.labels == -1, 0, prompts.labels)
            prompts = Prompts(prompts.boxes, prompts.points, labels, prompts.logits)
        return super()._decode(embedding, prompts)


class NoStability(Tiny):
    def _decode(self, embedding, prompts):
        own = super()._decode(embedding, prompts)
        own.stability = lambda: super(TinyCandidates, own).stability()
        return own


class ColumnsOutOfRange(Tiny):
    def _decode(self, embedding, prompts):
        own = super()._decode(embedding, prompts)
        own.single = 7
        return own


class RowsIgnored(TinyCandidates):
    def _masks(self, rows, columns):
        return super()._masks(np.sort(rows), columns)


class NoEverything(Tiny):
    def _everything(self, embedding, settings):
        raise NotImplementedError


class ProposalsInTheNetworksFrame(Tiny):
    def _everything(self, embedding, settings):
        found = super()._everything(embedding, settings)
        found.boxes *= 8
        return found


class ProposalsOfTwoLengths(Tiny):
    def _everything(self, embedding, settings):
        found = super()._everything(embedding, settings)
        found.scores = found.scores[:-1]
        return found


class ResizesItself(Tiny):
    def _resizing(self, resize):
        return self


def without_points(prompts):
    return prompts if prompts.boxes is None else Prompts(boxes=prompts.boxes, logits=prompts.logits)


def without_negatives(prompts):
    labels = None if prompts.labels is None else np.where(prompts.labels == 0, 1, prompts.labels)
    return Prompts(prompts.boxes, prompts.points, labels, prompts.logits)


def without_logits(prompts):
    return Prompts(prompts.boxes, prompts.points, prompts.labels)


ANSWERS = "shapes, types, scores and number of masks"
BATCH = "a batch equals single prompts"
SAME = "the same question, the same answer"
MATTERS = "every declared kind of prompt matters"
PIXELS = "prompts are in the original image's pixels"
PLACE = "masks lie on their objects"


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize(
    ("kind", "changes", "check_name", "said"),
    [
        (Tiny, {"prompts": frozenset({"box", "negative"})}, "the card agrees with itself", "negative needs point"),
        (Tiny, {"prompts": frozenset({"mask"})}, "the card agrees with itself", "neither box nor point"),
        (Tiny, {"parameters": 7}, "the card's number of parameters", "7 parameters, parameters() returns 6"),
        (Training, {}, "evaluation mode", "BatchNorm2d is in training mode"),
        (HiddenTraining, {}, "evaluation mode", "Dropout is in training mode"),
        (SizeTurned, {}, "images are encoded", "height and width"),
        (WritesToImages, {}, "images are encoded", "writes to the image"),
        (Unmarked, {}, "stages are marked", "adapters.stages.stage"),
        (RefusesNothing, {"prompts": frozenset({"box"})}, "what it can't take is refused by name", "isn't refused"),
        (scores_with(lambda scores: scores.astype(np.float64)), {}, ANSWERS, "float64"),
        (scores_with(lambda scores: scores[:, 0]), {}, ANSWERS, "shape (3,)"),
        (scores_with(lambda scores: scores * np.float32("nan")), {}, ANSWERS, "isn't finite"),
        (Tiny, {"masks": 3}, ANSWERS, "(3, 3) needed (the card's masks)"),
        (Tiny, {"score": "none"}, ANSWERS, "makes no scores"),
        (ColumnsOutOfRange, {}, ANSWERS, "single is column 7 of 4"),
        (masks_with(lambda masks: masks.astype(np.uint8)), {}, ANSWERS, "uint8"),
        (masks_with(lambda masks: masks.transpose(0, 2, 1)), {}, ANSWERS, "(3, 128, 96)"),
        (masks_with(lambda masks: masks[:, ::4, ::4]), {}, ANSWERS, "(3, 24, 32)"),
        (NoStability, {}, "stability scores", "InputError"),
        (WritesToPrompts, {}, "inputs are not written to", "box: decode writes to its prompts"),
        (logits_with(lambda logits: logits - logits.mean(axis=0)), {}, BATCH, "alone and among others"),
        (logits_with(lambda logits: logits[::-1].copy()), {}, BATCH, "alone and among others"),
        (
            candidates_with(lambda own: RowsIgnored(own.logits, own.image_size)),
            {},
            "the order of prompts is kept",
            "rows",
        ),
        (RandomAnswers, {}, BATCH, "differ"),
        (Stateful, {}, SAME, "another image"),
        (UnseededWeights, {}, SAME, "loaded twice"),
        (logits_with(lambda logits: 0 * logits + 1), {}, MATTERS, "three prompts in three places"),
        (prompts_with(without_points), {}, MATTERS, "box_point"),
        (prompts_with(without_negatives), {}, MATTERS, "negative"),
        (prompts_with(without_logits), {}, MATTERS, "mask: earlier logits change nothing"),
        (FailsOnManyPoints, {}, "the card's number of points", "IndexError"),
        (PaddingIsBackground, {}, "padding is ignored", "padding"),
        (Unscaled, {}, PIXELS, "as if it had been at 14,10 and not at 7,5"),
        (prompts_with(moved(lambda places: places / 8)), {}, PLACE, "plain objects"),
        (prompts_with(moved(lambda places: places[..., ::-1])), {}, PLACE, "x and y swapped"),
        (masks_with(lambda masks: masks[..., ::-1]), {}, PLACE, "right mirrored left to right"),
        (masks_with(lambda masks: masks[:, ::-1]), {}, PLACE, "right mirrored top to bottom"),
        (masks_with(lambda masks: ~masks), {}, PLACE, "right inverted"),
        (NoEverything, {}, "everything mode", "NotImplementedError"),
        (ProposalsInTheNetworksFrame, {}, "everything mode", "leaves the 128x96 image"),
        (ProposalsOfTwoLengths, {}, "everything mode", "scores"),
        (ResizesItself, {}, "other ways of resizing", "a copy is needed"),
    ],
)
def test_a_broken_adapter_is_caught_and_told_how(kind, changes, check_name, said):
    found = findings(kind, **changes)
    assert [finding.verdict for finding in found[:-1]] == ["passed"] * (len(found) - 1)
    assert (found[-1].verdict, found[-1].check) == ("wrong", check_name), found[-1]
    assert said in found[-1].why
    assert "\n" not in found[-1].why


def test_random_weights_show_no_places():
    found = list(check(CARD, lambda: Tiny(CARD, Weights("random"))))
    assert {finding.check for finding in found if finding.verdict == "not shown"} == {PLACE}


def test_scenes_are_nowhere_symmetrical():
    for size in ((96, 128), (131, 90)):
        scene = draw(*size)
        for truth, others in ((scene.truths, scene.truths[:, ::-1]), (scene.truths, scene.truths[..., ::-1])):
            assert ((truth & others).sum((1, 2)) / (truth | others).sum((1, 2))).mean() < 0.2


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sambench", "check-adapter", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


SLOW = pytest.mark.skipif("SAMBENCH_SLOW" not in os.environ, reason="takes half a minute: SAMBENCH_SLOW=1")


@pytest.mark.parametrize(
    "name",
    ["grabcut", "yolov8n_seg", *(pytest.param(name, marks=SLOW) for name in ("mobile_sam", "efficient_sam_ti"))],
)
def test_shipped_adapters_pass(monkeypatch, capsys, name):
    assert command(monkeypatch, name) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == len(CHECKS)
    assert "✗" not in printed
    assert printed.count("–") == (name != "grabcut")


def test_the_first_wrong_thing_ends_the_command(monkeypatch, capsys):
    card = adapters.card("grabcut").model_copy(update={"parameters": 5})
    monkeypatch.setattr(adapters, "card", lambda name: card)
    assert command(monkeypatch, "grabcut") == 1
    assert "✗" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["grabcat"], "did you mean 'grabcut'"), (["mobile_sam", "--weights", "nowhere.pt"], "nowhere.pt"),
     (["grabcut", "--dtype", "fp8"], "fp8"), (["grabcut", "--device", "tpu"], "tpu")],
)  # fmt: skip
def test_wrong_use_gets_one_line(monkeypatch, capsys, arguments, said):
    assert command(monkeypatch, *arguments) == 2
    _, error = capsys.readouterr()
    assert said in error
    assert len(error.splitlines()) == 1
