"""Which mask is taken, against brute force on masks that are written down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.adapter import Candidates
from bench.metrics.iou import iou
from bench.protocols import protocol
from bench.protocols.boxes import box_ious, tight_box
from bench.protocols.knobs import Masks
from bench.protocols.selection import rule, select
from bench.runs.session import Answers


class Written(Candidates):
    """Masks that are there already: a single one and three to choose from."""

    multimask = slice(1, None)

    def __init__(self, logits, scores):
        self.logits, self.scores = logits, scores

    def stability(self):
        inner, outer = ((self.logits > level).sum(axis=(2, 3)) for level in (1, -1))
        return np.divide(inner, outer, out=np.zeros(outer.shape), where=outer > 0).astype(np.float32)

    def _masks(self, rows, columns):
        return self.logits[rows, columns] > 0


def written(seed: int, count: int = 3) -> Written:
    rng = np.random.default_rng(seed)
    return Written(rng.normal(0, 2, (count, 4, 9, 11)), rng.uniform(0, 1, (count, 4)).astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_choice_against_brute_force(seed):
    candidates = written(seed)
    rng = np.random.default_rng(seed + 1)
    truths = [rng.random((9, 11)) < 0.4 for _ in range(3)]
    boxes = [(2.0, 1.0, 8.5, 6.0), (0.0, 0.0, 11.0, 9.0), (3.0, 3.0, 4.0, 9.0)]
    answers = Answers(candidates)
    ious, boxed = answers.ious(truths, "original"), answers.box_ious(boxes)
    taken = {how: select(how, candidates, ious, boxed) for how in ("score", "single", "stability", "box_iou", "oracle")}
    for row in range(3):
        masks = candidates.logits[row] > 0
        quality = {
            "score": candidates.scores[row],
            "oracle": [(m & truths[row]).sum() / ((m | truths[row]).sum() + 1e-7) for m in masks],
            "stability": [(lo > 1).sum() / (lo > -1).sum() for lo in candidates.logits[row]],
            "box_iou": [by_pixels(m, boxes[row]) for m in masks],
        }
        assert taken["single"][row] == 0
        for how, values in quality.items():
            assert values[taken[how][row]] == pytest.approx(max(values[1:])), how
    np.testing.assert_allclose(ious[1], iou(candidates.logits[1] > 0, truths[1]))


def by_pixels(mask: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Return the IoU of a box with a mask's own box, counted on a grid of half pixels."""
    fine = np.zeros((2, 2 * mask.shape[0], 2 * mask.shape[1]), bool)
    rows, columns = np.nonzero(mask)
    fine[0, 2 * rows.min() : 2 * rows.max() + 2, 2 * columns.min() : 2 * columns.max() + 2] = True
    x0, y0, x1, y1 = (int(2 * edge) for edge in box)
    fine[1, y0:y1, x0:x1] = True
    return float(fine.all(axis=0).sum() / fine.any(axis=0).sum())


def test_of_equals_the_first():
    candidates = Written(np.ones((1, 4, 3, 3)), np.full((1, 4), 0.5, np.float32))
    for how in ("score", "stability", "oracle", "box_iou"):
        assert select(how, candidates, np.ones((1, 4)), np.ones((1, 4))) == [1]


def test_an_empty_mask_has_no_box():
    assert tight_box(np.zeros((4, 4), bool)) is None
    assert box_ious(np.zeros((2, 4, 4), bool), (0, 0, 2, 2)).tolist() == [0, 0]


def test_several_clicks_take_the_single_mask_where_the_protocol_says_so():
    always = Masks(select="score", multi_click="always_multi", feedback="none")
    paper = protocol("sam-paper").masks
    assert [rule(always, parts) for parts in (1, 2, 5)] == ["score"] * 3
    assert [rule(paper, parts) for parts in (1, 2, 5)] == ["score", "single", "single"]


@pytest.mark.parametrize("name", ["efficientvit", "samfast", "tinysam"])
def test_presets_that_take_the_best_score(name):
    rules = protocol(name)
    assert rules.masks.select == "score"
    assert rules.average_precision is None or rules.average_precision.select == "score"


def test_a_sam_like_models_stability_is_the_official_one(random_mobile_sam, scene):
    """On the low-resolution logits, by segment_anything's own function."""
    from segment_anything.utils.amg import calculate_stability_score

    from adapters.prompts import Prompts

    embedding = random_mobile_sam.encode(scene)
    candidates = random_mobile_sam.decode(embedding, Prompts.from_boxes([[50, 60, 200, 220], [300, 100, 420, 330]]))
    candidates.logits.mul_(40)
    official = calculate_stability_score(candidates.logits.flatten(0, 1), 0.0, 1.0).view(2, 4)
    np.testing.assert_allclose(candidates.stability(), np.nan_to_num(official.numpy()), rtol=1e-6)
    columns = np.array([2, 0])
    np.testing.assert_array_equal(candidates.chosen_logits(columns), candidates.logits.numpy()[[0, 1], columns])
