"""Class-agnostic average recall of proposals: AR@10, 100, 1000 over IoU 0.5 to 0.95 (SAM paper, section 7.3).

All annotations are one category, no federated rule drops any proposal, and the limit is one per image. Crowds are
ignored as pycocotools ignores them. Values are pycocotools' recalls at these limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.metrics.bootstrap import interval_of_ratio
from bench.metrics.number import Number
from bench.metrics.reference import Detection, evaluate_coco

LIMITS = (10, 100, 1000)


def average_recall(truth: dict[str, Any], proposals: list[Detection]) -> Iterator[Number]:
    """Yield ar10, ar100, ar1000 in percent, and the mean number of proposals an image; n is the number of objects."""
    evaluation = evaluate_coco(
        *_one_category(truth, proposals), by_category=False, max_detections=LIMITS, areas=("all",)
    )
    recalls = evaluation.eval["recall"][:, 0, 0, :]
    per_image = evaluation.evalImgs
    present = np.array([0.0 if e is None else np.sum(np.asarray(e["gtIgnore"]) == 0) for e in per_image])
    found = np.array([[0.0] * len(LIMITS) if e is None else [_found(e, limit) for limit in LIMITS] for e in per_image])
    for index, limit in enumerate(LIMITS):
        value = 100 * float(recalls[:, index].mean()) if present.any() else np.nan
        yield Number(f"ar{limit}", value, *interval_of_ratio(100 * found[:, index], present), int(present.sum()))
    counted = Counter(proposal["image_id"] for proposal in proposals)
    counts = np.array([float(counted[image["id"]]) for image in truth["images"]])
    limits = interval_of_ratio(counts, np.ones(len(counts)))
    yield Number("proposals", float(counts.mean()), *limits, len(counts), unit="per image")


def _one_category(truth: dict[str, Any], proposals: list[Detection]) -> tuple[dict[str, Any], list[Detection]]:
    """Return truth and proposals all of one category: pycocotools looks for detections under the truth's alone."""
    one = {"category_id": 1}
    annotations = [{**annotation, **one} for annotation in truth["annotations"]]
    merged = {**truth, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    return merged, [{**proposal, **one} for proposal in proposals]


def _found(evaluated: dict[str, Any], limit: int) -> float:
    """Return how many objects are found within the limit, averaged over the IoU thresholds."""
    matched = np.asarray(evaluated["dtMatches"])[:, :limit] > 0
    ignored = np.asarray(evaluated["dtIgnore"])[:, :limit].astype(bool)
    return float((matched & ~ignored).sum(axis=1).mean())
