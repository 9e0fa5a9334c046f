"""The figures as functions of frames."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bench.report import plots
from bench.report.page.svg import inline_svg

HOSTILE = '<script>alert("1")</script> $\\frac{1}$ & ü'
POINTS = pd.DataFrame({
    "label": ["a", HOSTILE, "c"], "x": [10.0, 300.0, 400.0], "x_low": [9.0, 280.0, np.nan],
    "x_high": [12.0, 330.0, np.nan], "y": [50.0, 60.0, 55.0], "y_low": [48.0, 58.0, np.nan],
    "y_high": [52.0, 62.0, np.nan],
})  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_is_whom_nobody_beats(points):
    frame = pd.DataFrame(points, columns=["x", "y"]).astype(float)
    expected = [
        not any(ox <= x and oy >= y and (ox, oy) != (x, y) for ox, oy in points) for x, y in points
    ]  # fmt: skip
    assert list(plots.pareto(frame)) == expected


def test_the_area_under_the_shares_is_the_mean():
    values = np.random.default_rng(0).uniform(0, 100, 5000)
    frame = plots.iou_shares(pd.DataFrame({"label": "a", "iou": values}))
    assert frame["share"].iloc[0] == 100
    assert np.trapezoid(frame["share"], frame["at_least"]) / 100 == pytest.approx(values.mean(), abs=0.1)


def test_likeness_is_the_mean_distance_on_common_objects():
    rows = [("a", 1, 1, 50.0), ("a", 1, 2, 70.0), ("b", 1, 1, 60.0), ("b", 1, 2, 40.0), ("b", 2, 3, 0.0)]
    frame = plots.likeness(pd.DataFrame(rows, columns=["label", "image_id", "annotation_id", "iou"]))
    found = frame.set_index(["first", "second"])
    assert found.loc[("a", "b"), "value"] == pytest.approx(20)
    assert found.loc[("b", "a"), "n"] == 2
    assert found.loc[("b", "b"), "value"] == 0


def figures():
    stages = pd.DataFrame(
        [(label, stage, ms) for label in ("a", HOSTILE) for stage, ms in (("encode", 30.0), ("decode", 5.0))],
        columns=["label", "stage", "ms"],
    )
    shares = plots.iou_shares(pd.DataFrame({"label": ["a", HOSTILE] * 3, "iou": [10.0, 20, 50, 60, 90, np.nan]}))
    pairs = itertools.product(("a", HOSTILE), repeat=2)
    alike = pd.DataFrame(
        [(one, other, float(one != other)) for one, other in pairs], columns=["first", "second", "value"]
    )
    made = {"a": 30.0, HOSTILE: np.nan}
    recall = pd.DataFrame(
        [(label, limit, 0.01 * limit, 0.0, 12.0, made[label]) for label in made for limit in (10, 100, 1000)],
        columns=["label", "limit", "value", "low", "high", "proposals"],
    )
    return {
        "accuracy": lambda width: plots.accuracy_latency(POINTS, "ms", HOSTILE, width=width),
        "one": lambda width: plots.accuracy_latency(POINTS[:1], "ms", "mIoU", width=width),
        "stages": lambda width: plots.stage_bars(stages, width=width),
        "shares": lambda width: plots.iou_distribution(shares, width=width),
        "agreement": lambda width: plots.agreement(alike, width=width),
        "recall": lambda width: plots.recall_proposals(recall, width=width),
    }


@pytest.mark.parametrize("width", [plots.WIDE, 4.2])
@pytest.mark.parametrize("name", list(figures()))
def test_every_figure_is_drawn_with_names_as_text_and_nothing_from_outside(name, width):
    drawn = figures()[name](width)
    assert isinstance(drawn, Figure)
    svg = inline_svg(drawn, "here", "what it shows")
    assert "<script" not in svg
    assert "http" not in svg
    assert 'aria-label="what it shows"' in svg
    assert svg.count(' id="') == svg.count(' id="here-')
    assert svg.count("#here-") == svg.count('"#') + svg.count("(#")
