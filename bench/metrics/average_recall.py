"""Class-agnostic average recall of proposals: AR@10, 100, 1000 over IoU 0.5 to 0.95 (SAM paper, section 7.3).

All annotations are one category, and the limit is one per image. Crowds are ignored as pycocotools ignores them. What
is found within the limits is by pycocotools' matching. Size classes go by the annotation's own area, for boxes too, as
pycocotools has it; the box of a proposal is the tight box of its mask, that of an annotation its own. LVIS's rare,
common and frequent are recalls of the objects of such categories alone.

LVIS is federated: in an image a category may be annotated completely or in part (not_exhaustive_category_ids), be known
to be absent (neg_category_ids), or not have been looked for. lvis-api leaves out detections of categories that weren't
looked for, and forgives unmatched ones of categories annotated in part (lvis/eval.py, _prepare and evaluate_img). Both
rules ask for a detection's category, which a proposal hasn't; with all categories one they do nothing, and recall is
pycocotools'. What they leave to ask of proposals is the federated recall here: of the objects whose category is
annotated completely in their image, how many are found. The objects of categories annotated in part are a choice of the
annotators' out of more; they count neither as found nor as missed. (lvis-api itself looks at 300 results of an image,
lvis/results.py.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as codec
from pycocotools.cocoeval import COCOeval

from bench.metrics.bootstrap import interval_of_ratio
from bench.metrics.number import Number
from bench.metrics.reference import Detection, evaluate_coco

LIMITS = (10, 100, 1000)
FREQUENCIES = {"r": "_rare", "c": "_common", "f": "_frequent"}
_NOTHING: dict[str, Any] = {"dtMatches": np.zeros((10, 0)), "dtIgnore": np.zeros((10, 0)), "gtIgnore": []}


class Recall:
    """Proposals held against annotated objects.

    Args:
        truth: COCO's or LVIS's format, annotations with bbox and area.
        proposals: COCO results format, best first by score; their categories don't matter.
        limits: how many proposals of an image count.
        federated: leave out objects of categories that their image isn't annotated with completely.
    """

    def __init__(
        self,
        truth: dict[str, Any],
        proposals: list[Detection],
        limits: Iterable[int] = LIMITS,
        federated: bool = False,
    ) -> None:
        self.limits = sorted(limits)
        self._truth, self._proposals = _one_category(_complete(truth) if federated else truth, proposals)
        self._frequencies = {category.get("frequency") for category in truth["categories"]}
        self._masks = evaluate_coco(self._truth, self._proposals, "segm", False, self.limits)

    def numbers(self) -> Iterator[Number]:
        """Yield ar10, ar100, ar1000, the same with _small, _medium, _large, and, where categories have frequencies,
        with _rare, _common, _frequent; then box_ar10 to box_ar1000_large, all in percent, n the number of objects; then
        proposals, the mean number of proposals an image.
        """
        yield from _mask_recalls(self._masks, self._frequencies)
        yield from _box_recalls(self._truth, self._proposals, self.limits)
        counted = Counter(proposal["image_id"] for proposal in self._proposals)
        counts = np.array([float(counted[image["id"]]) for image in self._truth["images"]])
        interval = interval_of_ratio(counts, np.ones(len(counts)))
        mean = float(counts.mean()) if len(counts) else np.nan
        yield Number("proposals", mean, *interval, len(counts), unit="per image")

    def of_objects(self) -> dict[int, list[float]]:
        """Return of each object, by its number in the truth, at what share of the IoU thresholds it is found within
        each limit, in percent: their means are ar10, ar100, ar1000. Ignored objects aren't among them.
        """
        evaluated = self._masks.evalImgs[: len(self._masks.params.imgIds)]
        return {number: shares for own in evaluated if own is not None for number, shares in _shares(own, self.limits)}


def _complete(truth: dict[str, Any]) -> dict[str, Any]:
    """Return the truth without the objects of categories annotated in part."""
    partly = {image["id"]: set(image.get("not_exhaustive_category_ids", ())) for image in truth["images"]}
    kept = [own for own in truth["annotations"] if own["category_id"] not in partly[own["image_id"]]]
    return {**truth, "annotations": kept}


def _one_category(truth: dict[str, Any], proposals: list[Detection]) -> tuple[dict[str, Any], list[Detection]]:
    """Return truth and proposals all of one category: pycocotools looks for detections under the truth's alone.

    Annotations keep their own category's frequency, if it has one.
    """
    one = {"category_id": 1}
    frequency = {category["id"]: category.get("frequency") for category in truth["categories"]}
    annotations = [{**own, **one, "frequency": frequency.get(own["category_id"])} for own in truth["annotations"]]
    merged = {**truth, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    return merged, [{**proposal, **one} for proposal in proposals]


def _mask_recalls(evaluation: COCOeval, known: Collection[str | None]) -> Iterator[Number]:
    yield from _by_size(evaluation, "ar")
    for frequency in [letter for letter in FREQUENCIES if letter in known]:
        yield from _numbers(
            _evaluated_for(evaluation, frequency), evaluation.params.maxDets, "ar", FREQUENCIES[frequency]
        )


def _box_recalls(truth: dict[str, Any], proposals: list[Detection], limits: list[int]) -> Iterator[Number]:
    boxes = codec.toBbox([proposal["segmentation"] for proposal in proposals]).reshape(-1, 4).tolist()
    boxed = [{**proposal, "bbox": box} for proposal, box in zip(proposals, boxes, strict=True)]
    yield from _by_size(evaluate_coco(truth, boxed, "bbox", False, limits), "box_ar")


def _by_size(evaluation: COCOeval, prefix: str) -> Iterator[Number]:
    """Yield the recalls of all objects and of each size class; pycocotools' results are in this order."""
    params = evaluation.params
    images = len(params.imgIds)
    for index, area in enumerate(params.areaRngLbl):
        evaluated = evaluation.evalImgs[index * images : (index + 1) * images]
        yield from _numbers(evaluated, params.maxDets, prefix, "" if area == "all" else f"_{area}")


def _evaluated_for(evaluation: COCOeval, frequency: str) -> list[dict[str, Any] | None]:
    """Match once more with only the objects of a frequency to be found; the IoUs are there already.

    The others take only proposals that match none of these, so that the recall is the one without them.
    """
    for objects in evaluation._gts.values():
        for own in objects:
            own["ignore"] = own["iscrowd"] or own["frequency"] != frequency
    params = evaluation.params = evaluation._paramsEval  # accumulation has taken the categories out of the other
    return [evaluation.evaluateImg(image, -1, params.areaRng[0], params.maxDets[-1]) for image in params.imgIds]


def _numbers(evaluated: list[dict[str, Any] | None], limits: list[int], prefix: str, suffix: str) -> Iterator[Number]:
    """Yield the recall at each limit, given pycocotools' results by image, None where an image has none."""
    images = [_NOTHING if own is None else own for own in evaluated]
    present = np.array([np.count_nonzero(np.asarray(own["gtIgnore"]) == 0) for own in images], dtype=np.float64)
    for limit in limits:
        found = np.array([_found(own, limit) for own in images]).reshape(len(images), -1)
        value = 100 * float((found.sum(axis=0) / present.sum()).mean()) if present.any() else np.nan
        interval = interval_of_ratio(100 * found.mean(axis=1), present)
        yield Number(f"{prefix}{limit}{suffix}", value, *interval, int(present.sum()))


def _found(evaluated: dict[str, Any], limit: int) -> NDArray[np.int64]:
    """Return (T,) how many objects are found within the limit at each IoU threshold."""
    matched = np.asarray(evaluated["dtMatches"])[:, :limit] > 0
    counted = ~np.asarray(evaluated["dtIgnore"])[:, :limit].astype(bool)
    return np.asarray(np.count_nonzero(matched & counted, axis=1), dtype=np.int64)


def _shares(evaluated: dict[str, Any], limits: list[int]) -> Iterator[tuple[int, list[float]]]:
    """Yield of each object that counts its number, and at what share of the IoU thresholds it is found."""
    matches = np.asarray(evaluated["dtMatches"])
    for number, ignored in zip(evaluated["gtIds"], evaluated["gtIgnore"], strict=True):
        if not ignored:
            found = ((matches[:, :limit] == number).any(axis=1) for limit in limits)
            yield number, [100 * float(own.mean()) for own in found]
