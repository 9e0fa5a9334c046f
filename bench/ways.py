"""How everything is asked for under a protocol, and whose boxes that takes."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.adapter import Adapter
from adapters.cards import card, cards
from adapters.errors import InputError, unknown
from adapters.everything import Boxes, EverythingSettings
from adapters.ways.grid import PointGrid
from adapters.ways.hierarchical import Hierarchical
from adapters.ways.objects import BoxSource, ObjectBoxes, boxes_of
from adapters.ways.way import Way
from bench.protocols.knobs import DETECTIONS, Everything


def settings(rules: Everything) -> EverythingSettings:
    """Return what a protocol says of grid, filters and detectors."""
    return EverythingSettings(
        points_per_side=rules.points_per_side,
        predicted_iou=rules.predicted_iou,
        stability=rules.stability,
        box_nms=rules.box_nms,
        confidence=rules.confidence,
        detector_nms=rules.detector_nms,
        max_detections=rules.max_detections,
    )


def way(rules: Everything, find: BoxSource | None = None) -> Way:
    """Return the way that a protocol goes; with ``objects``, ``find`` says where they are."""
    own = settings(rules)
    if rules.way == "hierarchical":
        return Hierarchical(own, rules.high_score)
    if rules.way == "objects":
        return ObjectBoxes(own, find)
    layers = (rules.crop_layers, rules.crop_overlap, rules.crop_points_factor, rules.crop_nms, rules.min_region)
    return PointGrid(own, *layers)


def finder(rules: Everything, detections: Boxes, detectors: Mapping[str, Adapter]) -> BoxSource | None:
    """Return where objects are under a protocol: in a file's detections of the image, or where a model finds them.

    Args:
        rules: the protocol's.
        detections: of the image.
        detectors: the models that detect, by name.
    """
    if rules.way != "objects":
        return None
    if rules.boxes != DETECTIONS:
        return boxes_of(detectors[rules.boxes], settings(rules))
    sure = detections.confidence > rules.confidence
    return lambda image: Boxes(detections.boxes[sure], detections.confidence[sure])


def check_detector(name: str, where: str) -> None:
    """Raise InputError where a model doesn't detect; ``where`` says who asks for it."""
    known = [one.name for one in cards().values() if one.score == "confidence" and one.everything]
    if name not in cards():
        raise InputError(f"{where}: {unknown('detector', name, [DETECTIONS, *known])}")
    if name not in known:
        raise InputError(f"{where}: {card(name).name} finds no boxes; known: {', '.join([DETECTIONS, *known])}")
