"""A runtime whose masks aren't eager's, or aren't finite, is reported and not timed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters import runtimes
from bench.latency.condition import measured_rows
from bench.latency.output_check import LEAST_AGREEMENT, Answer, answers, compare, objection


@pytest.fixture
def answer():
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[:, :5] = True
    logits = np.zeros((2, 4, 4), np.float32)
    return Answer(np.ones((2, 3), np.float32), np.array([0, 1]), logits, masks)


def test_the_same_answer(answer):
    check = compare([answer], [answer])
    assert (check.miou_vs_eager, check.finite, objection(check)) == (1.0, True, None)


def test_other_masks(answer):
    other = answer.masks.copy()
    other[0, 4] = False  # IoU 0.8 of one mask of two
    check = compare([replace(answer, masks=other)], [answer])
    assert check.miou_vs_eager == pytest.approx(0.9)
    assert f"0.900 with eager fp32's, {LEAST_AGREEMENT} needed" in objection(check)


def test_two_empty_masks_agree(answer):
    empty = replace(answer, masks=np.zeros_like(answer.masks))
    assert compare([empty], [empty]).miou_vs_eager == 1


@pytest.mark.parametrize("where", ["logits", "scores"])
def test_output_that_isnt_finite(answer, where):
    broken = getattr(answer, where).copy()
    broken[0, 0] = np.nan
    check = compare([replace(answer, **{where: broken})], [answer])
    assert "isn't finite" in objection(check)


def test_a_score_that_a_model_doesnt_give_may_stay_away(answer):
    without = replace(answer, scores=np.full((2, 3), np.nan), logits=None)
    assert compare([without], [without]).finite


def test_the_choice_is_eagers(sleeper, inputs):
    expected = answers(sleeper(), inputs)
    changed = [replace(own, columns=np.zeros_like(own.columns)) for own in expected]
    given = answers(sleeper(), inputs, like=changed)
    assert [own.columns.tolist() for own in given] == [own.columns.tolist() for own in changed]


@pytest.mark.usefixtures("sleepers")
def test_a_runtime_that_fails_is_reported_and_not_timed(spec, sleeper, monkeypatch):
    wrong = sleeper("fickle")
    wrong.encoded = 10
    monkeypatch.setattr(runtimes, "with_runtime", lambda adapter, runtime: (wrong, {"encode": 1.0}))
    rows = list(measured_rows(spec(runtime="compile", stages=("encode", "decode_point1"))))
    assert [row.status for row in rows] == ["failed", "failed"]
    assert all("mean IoU" in row.reason and not row.samples for row in rows)
    assert rows[0].output_check.miou_vs_eager < LEAST_AGREEMENT
    assert wrong.encoded == 13  # the check's own three images


@pytest.mark.usefixtures("sleepers")
def test_a_runtime_that_passes_has_its_check_and_its_compiling_beside_it(spec, sleeper, monkeypatch):
    monkeypatch.setattr(runtimes, "with_runtime", lambda adapter, runtime: (sleeper(), {"encode": 1.5}))
    encode, decode = measured_rows(spec(runtime="onnxruntime", stages=("encode", "decode_point1")))
    assert encode.output_check.miou_vs_eager == 1
    assert (encode.compile_s, decode.compile_s) == (1.5, None)
    assert encode.first_s == pytest.approx(0.1, rel=0.2)
