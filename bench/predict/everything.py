"""How everything in the image is asked for: by whose rules, and by whose boxes where the rules want some."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import adapters
from adapters.checkpoints import Weights, sha256
from adapters.errors import InputError
from adapters.everything import Boxes
from adapters.ways.grid import PointGrid
from adapters.ways.way import Way
from bench.conditions import Conditions
from bench.predict.picture import Picture
from bench.protocols import Protocol, protocol
from bench.protocols.tasks import EVERYTHING, detector_of, takes_detections
from bench.ways import check_detector, finder, way

NONE = Boxes(np.zeros((0, 4)), np.zeros(0))


@dataclass(frozen=True)
class How:
    """How everything is asked for.

    Attributes:
        rules: a protocol; None for the automatic mask generator's defaults.
        detections: a file of boxes, for rules that take them.
    """

    rules: Protocol | None = None
    detections: Path | None = None

    @property
    def detectors(self) -> list[str]:
        """The model whose boxes are asked by, if there is one."""
        name = None if self.rules is None else detector_of(self.rules, EVERYTHING)
        return [] if name is None else [name]

    @property
    def way(self) -> Way:
        """The way, as yet without boxes."""
        return PointGrid() if self.rules is None or self.rules.everything is None else way(self.rules.everything)

    def ready(self, picture: Picture, weights: Mapping[str, Weights], conditions: Conditions) -> Way:
        """Return the way with its boxes read, or its detector loaded.

        Raises:
            InputError: where the file can't be used, or the model can't be loaded.
        """
        if self.rules is None or self.rules.everything is None:
            return self.way
        given = NONE if self.detections is None else read_boxes(self.detections, picture)
        where = (conditions.device, conditions.dtype)
        loaded = {name: adapters.load(name, weights[name], *where) for name in self.detectors}
        return way(self.rules.everything, finder(self.rules.everything, given, loaded))

    def told(self, weights: Mapping[str, Weights]) -> dict[str, str]:
        """Return the rules' identity, and whose boxes are asked by, as they stand in a run's rows."""
        if self.rules is None:
            return {}
        boxes = [f"{name} {weights[name].short}" for name in self.detectors]
        if self.detections is not None:
            boxes.append(f"{self.detections.name} {sha256(self.detections)[:12]}")
        return {"protocol": self.rules.identity, **({"boxes": boxes[0]} if boxes else {})}


def how(everything: bool, name: str | None, detections: Path | None) -> How:
    """Return how everything is asked for by the options of the command.

    Raises:
        InputError: where they don't fit together, or the protocol doesn't say how.
    """
    if not everything and (name is not None or detections is not None):
        raise InputError("--protocol and --detections say how everything is asked for: add --everything")
    rules = None if name is None else protocol(name)
    if rules is not None and rules.everything is None:
        raise InputError(f"--protocol {name}: it has no section everything")
    wanted = rules is not None and takes_detections(rules, EVERYTHING)
    if detections is not None and not wanted:
        raise InputError("--detections: a protocol needed that asks by them, such as --protocol proposals-objects")
    if wanted and detections is None:
        raise InputError(f"--protocol {name} asks by a detector's boxes: --detections FILE (COCO results format)")
    found = How(rules, detections)
    for detector in found.detectors:
        check_detector(detector, f"{name}: everything.boxes")
    return found


def read_boxes(path: Path, picture: Picture) -> Boxes:
    """Return a file's boxes of the picture: all, or of several images those of the number that ends the picture's name.

    Raises:
        InputError: where it is no such file, has none of this picture, or a box lies beside it.
    """
    try:
        content = json.loads(path.read_bytes())
        boxes = np.array([record["bbox"] for record in content], np.float64).reshape(-1, 4)
        confidence = np.array([record["score"] for record in content], np.float64)
        images = np.array([int(record["image_id"]) for record in content])
    except FileNotFoundError:
        raise InputError(f"no detections at {path}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} isn't in COCO's results format ({type(error).__name__}: {error})") from None
    if len(np.unique(images)) > 1:
        numbered = re.search(r"(\d+)$", Path(picture.name).stem)
        own = images == (int(numbered[1]) if numbered else None)
        if not own.any():
            raise InputError(f"{path} holds boxes of several images, and none of {picture.name}: leave its own alone")
        boxes, confidence = boxes[own], confidence[own]
    boxes[:, 2:] += boxes[:, :2]
    height, width = picture.size
    sound = (boxes[:, 2:] > np.maximum(boxes[:, :2], 0)).all(axis=1) & (boxes[:, :2] < (width, height)).all(axis=1)
    for row in np.flatnonzero(~(sound & np.isfinite(confidence) & np.isfinite(boxes).all(axis=1))):
        where = f"{boxes[row].tolist()} (x0 y0 x1 y1)"
        raise InputError(f"{path}: box {where} is empty or lies beside the {width}x{height} image")
    return Boxes(boxes, confidence)
