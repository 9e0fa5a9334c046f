"""Average precision with intervals: values by the reference evaluators, intervals by redrawing images.

For an interval the precision-recall curves must be accumulated anew for every draw of images. That is done here, for
many draws at once; with every image drawn once it gives the reference evaluators' own arrays (tests hold it to that).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from lvis import LVISEval
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from bench.metrics.bootstrap import draws, interval
from bench.metrics.number import Number
from bench.metrics.reference import Detection, evaluate_coco, evaluate_lvis

DRAWS = 200
AREAS = ("all", "small", "medium", "large")
RECALLS = np.linspace(0.0, 1.0, 101)
LVIS_GROUPS = {"r": "ap_rare", "c": "ap_common", "f": "ap_frequent"}
_ELEMENTS = 20_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One category in one size class: D detections, best score first, and what there was to find.

    Attributes:
        category: index among the categories.
        image: (D,) index of each detection's image.
        right, wrong: (T, D) whether a detection is a true, a false positive at each IoU threshold; neither: ignored.
        holders, held: the images that hold objects to find, and how many in each.
    """

    category: int
    image: NDArray[np.intp]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    holders: NDArray[np.intp]
    held: NDArray[np.int64]

    def precision(self, weights: NDArray[np.int64]) -> Floats:
        """Return (B, T, 101) precision at the recall levels for (B, images) weights; NaN where nothing is to find.

        Precision is made to fall with recall (pycocotools/cocoeval.py, accumulate).
        """
        batch, (thresholds, count) = len(weights), self.right.shape
        present = self._present(weights)
        if not count:
            values = np.zeros((batch, thresholds, len(RECALLS)))
        else:
            each = weights[:, None, self.image]
            true = np.cumsum(self.right * each, axis=2, dtype=np.float64)
            false = np.cumsum(self.wrong * each, axis=2, dtype=np.float64)
            precise = true / (false + true + np.spacing(1))
            precise = np.maximum.accumulate(precise[..., ::-1], axis=2)[..., ::-1]
            with np.errstate(invalid="ignore", divide="ignore"):
                recall = np.nan_to_num(true / present[:, None, None], posinf=0.0)
            values = _at_recalls(recall, precise)
        values[present == 0] = np.nan
        return values

    def recall(self, weights: NDArray[np.int64]) -> Floats:
        """Return (B, T): the share of what is to find that all detections together find; NaN where nothing is."""
        found = (self.right * weights[:, None, self.image]).sum(axis=2)
        with np.errstate(invalid="ignore"):
            return np.asarray(found / self._present(weights)[:, None], dtype=np.float64)

    def _present(self, weights: NDArray[np.int64]) -> Floats:
        """Return (B,): how many objects are to find."""
        return np.asarray(weights[:, self.holders] @ self.held, dtype=np.float64)


def coco_average_precision(
    truth: dict[str, Any], detections: list[Detection], detection_area: Literal["mask", "box"] = "mask"
) -> Iterator[Number]:
    """Yield ap, ap50, ap75, ap_small, ap_medium, ap_large in percent by COCO's rules; n counts detections."""
    evaluation = evaluate_coco(truth, detections, detection_area=detection_area)
    reference = np.moveaxis(evaluation.eval["precision"][:, :, :, :, -1], 3, 0)
    yield from _numbers(coco_curves(evaluation), reference, {}, len(truth["images"]), len(detections))


def lvis_average_precision(
    truth: dict[str, Any], detections: list[Detection], detection_area: Literal["mask", "box"] = "mask"
) -> Iterator[Number]:
    """Yield the same by LVIS's rules, and ap_rare, ap_common, ap_frequent."""
    evaluation = evaluate_lvis(truth, detections, detection_area=detection_area)
    reference = np.moveaxis(evaluation.eval["precision"], 3, 0)
    letters = zip(evaluation.params.img_count_lbl, evaluation.freq_groups, strict=True)
    groups = {LVIS_GROUPS[letter]: group for letter, group in letters}
    yield from _numbers(lvis_curves(evaluation), reference, groups, len(truth["images"]), len(detections))


def coco_curves(evaluation: COCOeval) -> dict[str, list[Curve]]:
    """Return the curves of each size class, at the greatest limit of detections."""
    params = evaluation._paramsEval
    categories = params.catIds if params.useCats else [-1]
    names = {"scores": "dtScores", "matches": "dtMatches", "ignore": "dtIgnore", "gt_ignore": "gtIgnore"}
    return _curves(evaluation.evalImgs, len(categories), params.areaRngLbl, len(params.imgIds), names)


def lvis_curves(evaluation: LVISEval) -> dict[str, list[Curve]]:
    """Return the curves of each size class."""
    params = evaluation.params
    names = {"scores": "dt_scores", "matches": "dt_matches", "ignore": "dt_ignore", "gt_ignore": "gt_ignore"}
    return _curves(evaluation.eval_imgs, len(params.cat_ids), params.area_rng_lbl, len(params.img_ids), names)


def _curves(
    evaluated: list[dict[str, Any] | None], categories: int, areas: list[str], images: int, names: dict[str, str]
) -> dict[str, list[Curve]]:
    """Join the reference evaluators' results by image into curves; their order is category, size class, image."""
    curves: dict[str, list[Curve]] = {area: [] for area in areas}
    for category in range(categories):
        for index, area in enumerate(areas):
            start = (category * len(areas) + index) * images
            found = [(i, e) for i, e in enumerate(evaluated[start : start + images]) if e is not None]
            if not found:
                continue
            scores = np.concatenate([e[names["scores"]] for _, e in found])
            order = np.argsort(-scores, kind="mergesort")
            image = np.repeat([i for i, _ in found], [len(e[names["scores"]]) for _, e in found])[order]
            matched = np.concatenate([e[names["matches"]] for _, e in found], axis=1)[:, order] > 0
            counted = ~np.concatenate([e[names["ignore"]] for _, e in found], axis=1)[:, order].astype(bool)
            held = np.array([np.count_nonzero(np.asarray(e[names["gt_ignore"]]) == 0) for _, e in found])
            if held.any():
                holders = np.array([i for i, _ in found])[held > 0]
                curves[area].append(
                    Curve(category, image, matched & counted, ~matched & counted, holders, held[held > 0])
                )
    return curves


def _numbers(
    curves: dict[str, list[Curve]], reference: Floats, groups: dict[str, list[int]], images: int, detections: int
) -> Iterator[Number]:
    """Yield the numbers.

    Args:
        curves: by size class.
        reference: (areas, T, R, categories) precision, -1 where a category has nothing to find.
        groups: further metrics, each over some of the categories.
        images, detections: how many there are.
    """
    every = slice(None)
    for index, area in enumerate(AREAS):
        wanted: dict[str, tuple[slice, slice | list[int]]] = {f"ap_{area}": (every, every)}
        if area == "all":
            wanted = {"ap": (every, every), "ap50": (slice(0, 1), every), "ap75": (slice(5, 6), every)}
            wanted |= {metric: (every, group) for metric, group in groups.items()}
        drawn = _redrawn(curves[area], images, *reference.shape[1::2])
        for metric, (thresholds, categories) in wanted.items():
            chosen = reference[index][thresholds][..., categories]
            yield _number(metric, chosen, drawn[:, thresholds][..., categories], detections)


def _number(metric: str, reference: Floats, drawn: Floats, n: int) -> Number:
    """Average over thresholds, recalls and those categories that have something to find; no limits without draws."""
    valid = reference[reference > -1]
    value = 100 * float(valid.mean()) if valid.size else np.nan
    counted = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        means = np.where(counted, drawn, 0).sum(axis=(1, 2)) / counted.sum(axis=(1, 2))
    return Number(metric, value, *interval(100 * means, value), n)


def _redrawn(curves: list[Curve], images: int, thresholds: int, categories: int) -> Floats:
    """Return (DRAWS, T, categories): each draw's precision averaged over recalls, NaN where nothing is to find.

    A single image can't be redrawn; all is NaN then.
    """
    weights = draws(images, DRAWS)[: DRAWS if images > 1 else 0]
    means = np.full((len(weights), thresholds, categories), np.nan)
    for curve in curves:
        step = max(1, _ELEMENTS // (thresholds * max(curve.right.shape[1], len(RECALLS))))
        for start in range(0, len(weights), step):
            part = slice(start, start + step)
            means[part, :, curve.category] = curve.precision(weights[part]).mean(axis=2)
    return means


def _at_recalls(recall: Floats, precision: Floats) -> Floats:
    """Return (B, T, 101): precision at the first detection that reaches each recall level, 0 where none does.

    Both rise or fall along the detections, so that first one is the best of all that reach the level.
    """
    batch, thresholds, count = recall.shape
    reached = np.searchsorted(RECALLS, recall.reshape(-1, count), side="right")
    rows, firsts = np.nonzero(np.diff(reached, axis=1, prepend=0))
    values = np.zeros((batch * thresholds, len(RECALLS)))
    values[rows, reached[rows, firsts] - 1] = precision.reshape(-1, count)[rows, firsts]
    return np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1].reshape(batch, thresholds, -1)
