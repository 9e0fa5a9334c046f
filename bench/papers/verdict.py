"""Whether a number of ours agrees with a published one, and when that can't be said."""

from __future__ import annotations

import math
from enum import StrEnum

from bench.papers.cells import Cell
from bench.papers.run_results import RANDOM, Measured, RunResults

COST_TOLERANCE = 0.01
"""Parameters and operations agree within a hundredth; beyond, something else was counted."""


class Verdict(StrEnum):
    """What came of a cell."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NONE = "no verdict"
    NOT_RUN = "not run"


def judge_accuracy(cell: Cell, measured: Measured, run: RunResults) -> tuple[Verdict, str]:
    """Return the verdict on an accuracy, and why.

    On a part of the paper's data the paper's value must lie within our 95 % interval; on the whole, there or within
    the table's tolerance. Half of the paper's last printed digit is allowed for.
    """
    why = _not_comparable(cell, measured, run)
    if why is not None:
        return Verdict.NONE, why
    assert cell.published.value is not None
    difference, rounding = measured.value - cell.published.value, cell.published.rounding + 1e-9
    if measured.low - rounding <= cell.published.value <= measured.high + rounding:
        return Verdict.AGREES, "within our interval"
    if is_part(cell, run):
        return Verdict.DIFFERS, "outside our interval"
    if abs(difference) <= cell.tolerance + rounding:
        return Verdict.AGREES, f"within {cell.tolerance:g} points"
    return Verdict.DIFFERS, f"outside our interval and {cell.tolerance:g} points"


def judge_cost(cell: Cell, measured: Measured) -> tuple[Verdict, str]:
    """Return the verdict on parameters or operations; papers count them too differently for a failure."""
    published = cell.published.value
    if published is None:
        return Verdict.NONE, "the paper gives no number"
    if abs(measured.value - published) <= COST_TOLERANCE * published + cell.published.rounding:
        return Verdict.AGREES, f"within {COST_TOLERANCE:.0%}"
    return Verdict.NONE, "the paper counted otherwise"


def judge_latency(cell: Cell) -> tuple[Verdict, str]:
    """Return that there is none, and whose machine the paper's time is from."""
    return Verdict.NONE, f"another machine: {cell.published.hardware or 'not named'}"


def is_part(cell: Cell, run: RunResults) -> bool:
    """Return whether a run took only some images of a cell's data."""
    return cell.data.images is not None and run.images < cell.data.images


def _not_comparable(cell: Cell, measured: Measured, run: RunResults) -> str | None:
    """Return the first reason why neither agreement nor difference means anything, None if there is none."""
    published, data, plan = cell.published, run.plan.dataset, run.plan
    if not data.comparable:
        return "data drawn by the suite"
    if measured.weights == RANDOM:
        return "random weights"
    if published.value is None:
        return "the paper gives no number"
    if not published.verified:
        return "the paper's number is known second-hand"
    if cell.rule.no_verdict or cell.data.no_verdict:
        return cell.rule.no_verdict or cell.data.no_verdict
    if measured.replaced is not None:
        return f"not comparable: {measured.replaced}"
    boxes, detector = plan.detections, cell.detector
    if detector is not None and boxes is not None and not detector.made(boxes.name, boxes.digest):
        return f"not comparable: other detector boxes ({boxes.name}, not {detector.title}'s)"
    if cell.rule.dtype and cell.rule.dtype != plan.conditions.dtype:
        return f"measured in {plan.conditions.dtype}; --dtype {cell.rule.dtype} is the paper's"
    if cell.data.images is not None and max(data.images, data.total_images) > cell.data.images:
        return f"{max(data.images, data.total_images)} images are not {cell.data.title}'s {cell.data.images}"
    if is_part(cell, run) and not (math.isfinite(measured.low) and math.isfinite(measured.high)):
        return "some of the images alone, and no interval"
    return None
