"""Masks for the gallery, asked of the models again: run folders keep none for boxes and clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.prompts import Prompts
from bench.datasets import Annotation, Image
from bench.protocols import Protocol
from bench.report.study import Entry, Study

if TYPE_CHECKING:
    from adapters.adapter import Adapter
    from adapters.checkpoints import Weights
    from bench.runs.session import Answers, Session

Mask = NDArray[np.bool_]


class Decoder:
    """Asks models again, with the prompts that a run wrote down.

    Args:
        study: whose protocol and models.
        weights: by the models' names; a model without any, or with other weights than the run's, shows no mask.
        task: one that is measured object by object.
    """

    def __init__(self, study: Study, weights: Mapping[str, Weights], task: str) -> None:
        self.study, self.task = study, task
        self.weights = {
            entry.label: weights[entry.identity.name]
            for entry in study.entries
            if entry.identity.name in weights and weights[entry.identity.name].identity == entry.identity.weights
        }
        self._adapters: dict[str, Adapter] = {}
        self._sessions: dict[tuple[str, int], Session] = {}

    def __call__(self, entry: Entry, image: Image, annotation: Annotation, row: pd.Series) -> Mask | None:
        """Return a model's mask for an object, None where the model isn't at hand."""
        if entry.label not in self.weights:
            return None
        session = self._session(entry, image)
        return _mask(
            session, self.study.protocol, self.task, annotation, annotation.mask(image.height, image.width), row
        )

    def _session(self, entry: Entry, image: Image) -> Session:
        import adapters
        from bench.runs.session import Session

        key = (entry.label, image.id)
        if key not in self._sessions:
            if entry.label not in self._adapters:
                self._adapters[entry.label] = adapters.load(entry.identity.name, self.weights[entry.label])
            self._sessions[key] = Session(self._adapters[entry.label], image.pixels())
        return self._sessions[key]


def _mask(
    session: Session, protocol: Protocol, task: str, annotation: Annotation, truth: Mask, row: pd.Series
) -> Mask | None:
    """Ask with the box, then with one click more after the other, as the run did; return the last answer's mask."""
    from bench.protocols.boxes import tight_box

    clicks = row["clicks"]
    resize: Any = protocol.resize if protocol.resize in session.adapter.card.resizes else "native"
    feeding = protocol.masks.feedback == "previous" and "mask" in session.adapter.card.prompts
    box = None
    last: tuple[Answers, NDArray[np.intp]] | None = None
    if task.startswith("box") and protocol.boxes is not None:
        source = protocol.boxes.source
        box = annotation.box if source == "annotation" else tight_box(truth, inclusive=source == "tight_inclusive")
        if box is None:
            return None
        last = _asked(session, protocol, Prompts.from_boxes([box]), resize, truth, 1, box)
    for count in range(1, len(clicks) + 1):
        points, labels = clicks[None, :count, :2], clicks[None, :count, 2]
        logits = last[0].candidates.chosen_logits(last[1]) if feeding and last is not None else None
        if box is None:
            prompts = Prompts.from_points(points, labels, logits)
        else:
            prompts = Prompts.from_boxes_and_points([box], points, labels, logits)
        last = _asked(session, protocol, prompts, resize, truth, count + (box is not None), box)
    return None if last is None else np.asarray(last[0].candidates.masks(last[1])[0])


def _asked(
    session: Session, protocol: Protocol, prompts: Prompts, resize: Any, truth: Mask, parts: int, box: Any
) -> tuple[Answers, NDArray[np.intp]]:
    """Return the answers, and which of their masks the protocol takes."""
    from bench.protocols.selection import rule, select

    answers = session.ask(prompts, resize)
    how = rule(protocol.masks, parts)
    ious = answers.ious([truth], "shown") if how == "oracle" else None
    boxed = answers.box_ious([box]) if how == "box_iou" and box is not None else None
    return answers, select(how, answers.candidates, ious, boxed)
