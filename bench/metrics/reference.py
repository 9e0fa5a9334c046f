"""The reference evaluators, pycocotools and lvis, handled so that their traps don't matter. They define AP and AR.

- Mask results carry no ``bbox``: with one, a detection's size class would come from its box.
- Annotations are numbered from 1: both take a match with number 0 for no match.
- lvis 0.5.3 asks NumPy for ``np.float``; it is given one here, inside that module alone.
- Neither is asked for its printed summary, which is wrong for other limits than 100 detections.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import lvis.eval
import numpy as np
from lvis import LVIS, LVISEval, LVISResults
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Detection = dict[str, Any]
LVIS_LIMIT = 300


class _NumpyWithFloat(ModuleType):
    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


lvis.eval.np = _NumpyWithFloat("numpy")


def ground_truth(annotation_file: Path, image_ids: Collection[int], leave_out: Collection[int] = ()) -> dict[str, Any]:
    """Return an annotation file's content for these images, without some annotations, numbered from 1.

    Each keeps the file's number as ``annotation_id``.
    """
    content = json.loads(annotation_file.read_bytes())
    wanted, unwanted = set(image_ids), set(leave_out)
    kept = [own for own in content["annotations"] if own["image_id"] in wanted and own["id"] not in unwanted]
    return {
        "info": content.get("info", {}),
        "images": [image for image in content["images"] if image["id"] in wanted],
        "annotations": [{**own, "id": number, "annotation_id": own["id"]} for number, own in enumerate(kept, start=1)],
        "categories": content["categories"],
    }


def evaluate_coco(
    truth: dict[str, Any],
    detections: Iterable[Detection],
    iou_type: str = "segm",
    by_category: bool = True,
    max_detections: Iterable[int] = (1, 10, 100),
    areas: Collection[str] | None = None,
    detection_area: Literal["mask", "box"] = "mask",
) -> COCOeval:
    """Run pycocotools' evaluation and accumulation.

    Args:
        truth: COCO's format; crowds need ``iscrowd``, missing ones are added as 0.
        detections: COCO results format.
        iou_type: "segm" or "bbox".
        by_category: False to take all categories as one.
        max_detections: limits, per image and category.
        areas: which of all, small, medium, large; all four, if None.
        detection_area: whether a detection's size class comes from its mask, or from its ``bbox``.
    """
    with _silent():
        reference = COCO()
        annotations = [{"iscrowd": 0, **annotation} for annotation in truth["annotations"]]
        reference.dataset = {**truth, "annotations": annotations}
        reference.createIndex()
        evaluation = COCOeval(reference, _coco_results(reference, detections, iou_type, detection_area), iou_type)
        evaluation.params.useCats = int(by_category)
        evaluation.params.maxDets = sorted(max_detections)
        if areas is not None:
            kept = [index for index, name in enumerate(evaluation.params.areaRngLbl) if name in areas]
            evaluation.params.areaRng = [evaluation.params.areaRng[index] for index in kept]
            evaluation.params.areaRngLbl = [evaluation.params.areaRngLbl[index] for index in kept]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def evaluate_lvis(
    truth: dict[str, Any],
    detections: Iterable[Detection],
    iou_type: str = "segm",
    detection_area: Literal["mask", "box"] = "mask",
) -> LVISEval:
    """Run lvis's evaluation: federated rules, at most 300 detections an image."""
    with _silent():
        reference = LVIS.__new__(LVIS)
        reference.logger = logging.getLogger("lvis")
        reference.dataset = truth
        reference._create_index()
        evaluation = LVISEval(reference, _lvis_results(reference, detections, iou_type, detection_area), iou_type)
        evaluation.run()
    return evaluation


def _coco_results(reference: COCO, detections: Iterable[Detection], iou_type: str, detection_area: str) -> COCO:
    detections = list(detections)
    prepared = _prepared(detections, iou_type)
    if prepared:
        loaded = reference.loadRes(prepared)
        _take_areas(loaded.dataset["annotations"], detections, detection_area)
        return loaded
    empty = COCO()
    empty.dataset = {**reference.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _lvis_results(reference: LVIS, detections: Iterable[Detection], iou_type: str, detection_area: str) -> LVISResults:
    detections = list(detections)
    prepared = _prepared(detections, iou_type)
    if prepared and detection_area == "box":
        prepared = [{**kept, "box_area": _box_area(found)} for kept, found in zip(prepared, detections, strict=True)]
    if prepared:
        loaded = LVISResults(reference, prepared, max_dets=LVIS_LIMIT)
        for own in loaded.dataset["annotations"]:
            own["area"] = own.pop("box_area", own["area"])
        return loaded
    empty = LVISResults.__new__(LVISResults)
    empty.logger = reference.logger
    empty.dataset = {**reference.dataset, "annotations": []}
    empty._create_index()
    return empty


def _take_areas(loaded: list[dict[str, Any]], detections: list[Detection], detection_area: str) -> None:
    """Give each detection, in pycocotools' order which is the given one, its box's area."""
    if detection_area == "box":
        for own, found in zip(loaded, detections, strict=True):
            own["area"] = _box_area(found)


def _box_area(found: Detection) -> float:
    return float(found["bbox"][2] * found["bbox"][3])


def _prepared(detections: Iterable[Detection], iou_type: str) -> list[Detection]:
    unwanted = "bbox" if iou_type == "segm" else "segmentation"
    return [{key: value for key, value in found.items() if key != unwanted} for found in detections]


@contextlib.contextmanager
def _silent() -> Any:
    logger = logging.getLogger("lvis")
    level = logger.level
    logger.setLevel(logging.ERROR)
    for name in ("lvis.lvis", "lvis.eval", "lvis.results"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
