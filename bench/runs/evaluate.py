"""One image in front of one model: all protocols and tasks on one encoding, and what is written down of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Adapter
from bench.datasets import Annotation, Image
from bench.protocols import Protocol
from bench.protocols.tasks import BOX, BOX_CLICK, CLICK, DETECTOR_BOX, EVERYTHING, NOC, PAIR, WORDS, group_of, number_of
from bench.protocols.truth import round_trip
from bench.runs.detections import DetectorBox
from bench.runs.instances import Asking, Objects
from bench.runs.plan import Job
from bench.runs.proposals import by_detector, by_pairs, by_words, everything
from bench.runs.session import Session

INSTANCE_KINDS = (BOX, BOX_CLICK, CLICK, NOC)

BLOCK_BYTES = 256 << 20
"""The true masks of so many bytes are held at the same time."""


@dataclass
class ImageResult:
    """What came out of one image.

    Attributes:
        rows: one for each protocol, task and annotation, as in instances.parquet.
        detections: by protocol and task, COCO results format.
        skipped: by protocol and task, how many annotations, boxes or pairs were left out for which reason.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    detections: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    skipped: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)


def evaluate(
    adapter: Adapter,
    image: Image,
    pixels: NDArray[np.uint8],
    jobs: Sequence[Job],
    protocols: Sequence[Protocol],
    boxes: Sequence[DetectorBox] = (),
    categories: Mapping[int, str] | None = None,
    detectors: Mapping[str, Adapter] | None = None,
) -> ImageResult:
    """Encode an image once for each way of resizing and do all jobs on it.

    Args:
        adapter: the model.
        image: with its annotations.
        pixels: (H, W, 3) uint8 RGB.
        jobs: what the model is asked.
        protocols: those of the jobs, in the order of the rows.
        boxes: a detector's, best first.
        categories: id -> name, the data's.
        detectors: models whose boxes protocols ask by, by name.
    """
    result = ImageResult()
    session = Session(adapter, pixels, remembering=len(protocols) > 1)
    own = {protocol.name: [job for job in jobs if job.protocol == protocol.name] for protocol in protocols}
    for protocol in protocols:
        result.skipped[protocol.name] = {job.task: Counter() for job in own[protocol.name]}
    _annotated(session, image, protocols, own, result)
    for protocol in protocols:
        _unannotated(session, image, protocol, own[protocol.name], boxes, categories or {}, detectors or {}, result)
    return result


def _annotated(
    session: Session, image: Image, protocols: Sequence[Protocol], jobs: dict[str, list[Job]], result: ImageResult
) -> None:
    """Ask about annotated objects, block by block, under each protocol."""
    chosen = {}
    for protocol in protocols:
        wanted = {job.task: list(job.replaced) for job in jobs[protocol.name] if group_of(job.task) in INSTANCE_KINDS}
        if not wanted:
            continue
        own, skipped = _chosen(image.annotations, protocol)
        chosen[protocol.name] = (Asking(session, protocol, wanted), {annotation.id for annotation in own})
        for task in wanted:
            result.skipped[protocol.name][task].update(skipped)
    ids = set().union(*(taken for _, taken in chosen.values()))
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for block in _blocks([annotation for annotation in image.annotations if annotation.id in ids], image):
        masks = [annotation.mask(image.height, image.width) for annotation in block]
        truths = {"original": masks}
        if any(asking.protocol.annotations.truth == "round_trip" for asking, _ in chosen.values()):
            truths["round_trip"] = [round_trip(mask) for mask in masks]
        for name, (asking, taken) in chosen.items():
            indices = [index for index, annotation in enumerate(block) if annotation.id in taken]
            truth = asking.protocol.annotations.truth
            objects = Objects(
                [block[index] for index in indices],
                [masks[index] for index in indices],
                [truths[truth][index] for index in indices],
                truth,
            )
            if len(objects):
                rows[name] += asking.rows(objects, result.skipped[name])
        session.forget()
    result.rows += [row for name in chosen for row in rows[name]]


def _unannotated(
    session: Session,
    image: Image,
    protocol: Protocol,
    jobs: Sequence[Job],
    boxes: Sequence[DetectorBox],
    categories: Mapping[int, str],
    detectors: Mapping[str, Adapter],
    result: ImageResult,
) -> None:
    """Ask by a detector's boxes, for everything, by words, and by pairs of clicks."""
    found = result.detections.setdefault(protocol.name, {})
    for job in jobs:
        kind = group_of(job.task)
        resize = "native" if "resize=native" in job.replaced else protocol.resize
        if kind == DETECTOR_BOX and protocol.average_precision is not None:
            rules = protocol.average_precision
            refine = 0 if "average_precision.refine=0" in job.replaced else rules.refine
            taken = boxes if rules.max_boxes is None else boxes[: rules.max_boxes]
            found[job.task] = by_detector(session, image, taken, rules, resize, refine)
            result.skipped[protocol.name][job.task]["beyond the protocol's number of boxes"] += len(boxes) - len(taken)
        elif kind == EVERYTHING and protocol.everything is not None:
            found[job.task] = everything(session, image, protocol, resize, boxes, detectors)
        elif kind == WORDS and protocol.words is not None:
            found[job.task] = by_words(session, image, categories, protocol.words, resize)
        elif kind == PAIR:
            found[job.task], missing = by_pairs(session, image, protocol, number_of(job.task), resize)
            result.skipped[protocol.name][job.task]["no room in the image for a pair"] += missing


def _chosen(annotations: Sequence[Annotation], protocol: Protocol) -> tuple[list[Annotation], Counter[str]]:
    chosen, skipped = [], Counter[str]()
    for annotation in annotations:
        if annotation.problem is not None:
            skipped["the annotation can't be used"] += 1
        elif annotation.area < protocol.annotations.min_area:
            skipped["area below the protocol's minimum"] += 1
        elif annotation.iscrowd and protocol.annotations.crowd == "exclude":
            skipped["crowd, which the protocol leaves out"] += 1
        else:
            chosen.append(annotation)
    return chosen, skipped


def _blocks(annotations: Sequence[Annotation], image: Image) -> Iterator[Sequence[Annotation]]:
    """Yield the annotations in blocks whose masks take a bounded amount of memory."""
    size = max(1, BLOCK_BYTES // (image.height * image.width))
    for start in range(0, len(annotations), size):
        yield annotations[start : start + size]
