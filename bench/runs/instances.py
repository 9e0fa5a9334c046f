"""Annotated objects asked for by boxes and by clicks: a row for each task and object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.prompts import Prompts
from bench.datasets import Annotation
from bench.metrics.boundary_iou import boundary_iou
from bench.metrics.iou import iou
from bench.protocols import Protocol
from bench.protocols.boxes import Box, tight_box
from bench.protocols.clicks import Clicker
from bench.protocols.knobs import Noc, Points
from bench.protocols.selection import Columns, rule, select
from bench.protocols.tasks import BOX, BOX_CLICK, CLICK, NOC, number_of
from bench.runs.session import Answers, Session

Mask = NDArray[np.bool_]
Row = dict[str, Any]
Skipped = dict[str, Counter[str]]


@dataclass(frozen=True)
class Objects:
    """Some annotations of an image.

    Attributes:
        annotations: in the file's order.
        masks: their masks as annotated, (H, W).
        truths: the masks that answers are held against.
        truth: what those are, as in Annotations.truth of the protocol.
    """

    annotations: Sequence[Annotation]
    masks: Sequence[Mask]
    truths: Sequence[Mask]
    truth: str

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def kind(self) -> str:
        """Names the true masks: of the same kind, they are the same."""
        return f"{self.truth} {[annotation.id for annotation in self.annotations]}"

    def only(self, chosen: Sequence[int]) -> Objects:
        """Return some of them."""
        if len(chosen) == len(self):
            return self
        annotations = [self.annotations[index] for index in chosen]
        masks, truths = ([given[index] for index in chosen] for given in (self.masks, self.truths))
        return Objects(annotations, masks, truths, self.truth)


@dataclass(frozen=True)
class Asking:
    """One protocol's way of asking one model, with what the model can't do replaced.

    Attributes:
        session: the model and the image.
        protocol: the rules.
        replaced: by task, what is replaced (bench.runs.abilities.replacements).
    """

    session: Session
    protocol: Protocol
    replaced: dict[str, list[str]]

    def rows(self, objects: Objects, skipped: Skipped) -> list[Row]:
        """Return the rows of all tasks about annotated objects, and count what is left out of each."""
        rows: list[Row] = []
        tasks = list(self.replaced)
        box_tasks = [task for task in tasks if task == BOX or task.startswith(BOX_CLICK)]
        if box_tasks:
            rows += self._by_boxes(objects, box_tasks, skipped)
        for kind in (CLICK, NOC):
            for group in self._alike([task for task in tasks if task.startswith(kind)]):
                if kind == CLICK:
                    rows += self._by_clicks(objects, group, skipped)
                else:
                    rows += self._until_good(objects, group, skipped)
        return rows

    def _alike(self, tasks: Sequence[str]) -> list[list[str]]:
        """Return tasks grouped by what is replaced in them: one sequence of clicks serves each group."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for task in tasks:
            groups.setdefault(tuple(self.replaced[task]), []).append(task)
        return list(groups.values())

    def _by_boxes(self, objects: Objects, tasks: Sequence[str], skipped: Skipped) -> list[Row]:
        """Ask for boxes, then for further clicks where an answer is wrong."""
        boxes = [self._box(*one) for one in zip(objects.annotations, objects.masks, strict=True)]
        usable = [index for index, box in enumerate(boxes) if box is not None and box[2] > box[0] and box[3] > box[1]]
        if len(usable) < len(objects):
            for task in tasks:
                skipped[task]["its box is empty"] += len(objects) - len(usable)
        if not usable:
            return []
        objects = objects.only(usable)
        prompt_boxes = [box for index in usable if (box := boxes[index]) is not None]
        answers = self.session.ask(Prompts.from_boxes(prompt_boxes), self._resize(tasks[0]))
        columns = self._selected(answers, objects, 1, prompt_boxes)
        rows = self._measured(BOX, answers, columns, objects) if BOX in tasks else []
        further = [task for task in tasks if task != BOX]
        if not further:
            return rows
        clickers = self._clickers(objects, further[0])
        for count in range(1, max(map(number_of, further)) + 1):
            clicks = self._click(clickers, list(answers.candidates.masks(columns)))
            logits = self._feedback(answers, columns, further[0])
            prompts = Prompts.from_boxes_and_points(prompt_boxes, clicks[..., :2], clicks[..., 2], logits)
            answers = self.session.ask(prompts, self._resize(further[0]))
            columns = self._selected(answers, objects, 1 + count, prompt_boxes)
            if (task := f"{BOX_CLICK}{count}") in further:
                rows += self._measured(task, answers, columns, objects, clicks)
        return rows

    def _by_clicks(self, objects: Objects, tasks: Sequence[str], skipped: Skipped) -> list[Row]:
        """Click until the greatest count; every smaller count is met on the way."""
        objects = self._clickable(objects, tasks, skipped)
        rows: list[Row] = []
        if not len(objects):
            return rows
        counts = [number_of(task) for task in tasks]
        clickers = self._clickers(objects, tasks[0])
        seen: list[Mask | None] = [None] * len(objects)
        logits = None
        for count in range(1, max(counts) + 1):
            clicks = self._click(clickers, seen)
            answers = self.session.ask(
                Prompts.from_points(clicks[..., :2], clicks[..., 2], logits), self._resize(tasks[0])
            )
            columns = self._selected(answers, objects, count)
            if count in counts:
                rows += self._measured(f"{CLICK}{count}", answers, columns, objects, clicks)
            if count < max(counts):
                seen = list(answers.candidates.masks(columns))
                logits = self._feedback(answers, columns, tasks[0])
        return rows

    def _until_good(self, objects: Objects, tasks: Sequence[str], skipped: Skipped) -> list[Row]:
        """Click until the answer is good for every threshold; objects that are done are not asked for again."""
        noc = self.protocol.noc
        assert noc is not None
        objects = self._clickable(objects, tasks, skipped)
        clickers = self._clickers(objects, tasks[0])
        history: list[list[float]] = [[] for _ in clickers]
        seen: list[Mask | None] = [None] * len(objects)
        going, logits = list(range(len(objects))), None
        for count in range(1, noc.most + 1):
            if not going:
                break
            clicks = self._click([clickers[index] for index in going], seen)
            answers = self.session.ask(
                Prompts.from_points(clicks[..., :2], clicks[..., 2], logits), self._resize(tasks[0])
            )
            columns = self._selected(answers, objects.only(going), count)
            seen = list(answers.candidates.masks(columns))
            for index, mask in zip(going, seen, strict=True):
                assert mask is not None
                history[index].append(float(iou(mask[None], objects.truths[index])[0]))
            kept = [row for row, index in enumerate(going) if history[index][-1] < max(noc.thresholds)]
            logits = self._feedback(answers, columns, tasks[0])
            logits = None if logits is None else logits[kept]
            going, seen = [going[row] for row in kept], [seen[row] for row in kept]
        return [
            self._noc_row(task, objects.annotations[index], history[index], clickers[index], noc)
            for task in tasks
            for index in range(len(objects))
        ]

    def _noc_row(self, task: str, annotation: Annotation, history: Sequence[float], clicker: Clicker, noc: Noc) -> Row:
        good = np.flatnonzero(np.array(history) >= number_of(task))
        needed = int(good[0]) + 1 if len(good) else noc.most
        numbers = {"iou": history[needed - 1], "clicks_needed": needed, "reached": bool(len(good))}
        clicks = np.array(clicker.clicks[:needed], dtype=float)
        return self._row(task, annotation, numbers, clicks)

    def _box(self, annotation: Annotation, mask: Mask) -> Box | None:
        assert self.protocol.boxes is not None
        source = self.protocol.boxes.source
        return annotation.box if source == "annotation" else tight_box(mask, inclusive=source == "tight_inclusive")

    def _clickable(self, objects: Objects, tasks: Sequence[str], skipped: Skipped) -> Objects:
        """Leave out objects on which the first click can't be made."""
        points = self._points(tasks[0])
        # on an empty mask RITM's first click is negative
        needs_mask = points.first not in ("dt_center", "box_center", "annotation") or not self._takes_negatives()
        able = [
            index
            for index, (annotation, mask) in enumerate(zip(objects.annotations, objects.masks, strict=True))
            if (points.first != "annotation" or annotation.point is not None) and (not needs_mask or mask.any())
        ]
        if len(able) < len(objects):
            reason = "it has no point of its own" if points.first == "annotation" else "its mask is empty"
            for task in tasks:
                skipped[task][reason] += len(objects) - len(able)
        return objects.only(able)

    def _takes_negatives(self) -> bool:
        return "negative" in self.session.adapter.card.prompts

    def _points(self, task: str) -> Points:
        assert self.protocol.points is not None
        if "points.next=random" in self.replaced[task]:
            return self.protocol.points.model_copy(update={"next": "random"})
        return self.protocol.points

    def _clickers(self, objects: Objects, task: str) -> list[Clicker]:
        points = self._points(task)
        return [
            Clicker(mask, points, (self.protocol.seed, annotation.id), annotation.box, annotation.point)
            for annotation, mask in zip(objects.annotations, objects.masks, strict=True)
        ]

    @staticmethod
    def _click(clickers: Sequence[Clicker], seen: Sequence[Mask | None]) -> NDArray[np.float64]:
        """Make one more click on each object; return (N, K, 3) x, y, label of all clicks so far."""
        for clicker, answer in zip(clickers, seen, strict=True):
            clicker.next(answer)
        return np.array([clicker.clicks for clicker in clickers], dtype=float)

    def _feedback(self, answers: Answers, columns: Columns, task: str) -> NDArray[np.float32] | None:
        wanted = self.protocol.masks.feedback == "previous" and "masks.feedback=none" not in self.replaced[task]
        return answers.candidates.chosen_logits(columns) if wanted else None

    def _resize(self, task: str) -> Any:
        return "native" if "resize=native" in self.replaced[task] else self.protocol.resize

    def _selected(self, answers: Answers, objects: Objects, parts: int, boxes: Sequence[Box] | None = None) -> Columns:
        how = rule(self.protocol.masks, parts)
        ious = answers.ious(objects.truths, objects.kind) if how == "oracle" else None
        boxed = answers.box_ious(boxes) if how == "box_iou" and boxes is not None else None
        return select(how, answers.candidates, ious, boxed)

    def _measured(
        self,
        task: str,
        answers: Answers,
        columns: Columns,
        objects: Objects,
        clicks: NDArray[np.float64] | None = None,
    ) -> list[Row]:
        """Return a row for each object: the IoU of the selected, the single and the oracle's mask."""
        candidates = answers.candidates
        ious, singles = answers.ious(objects.truths, objects.kind), candidates.singles()
        along_edges = self._boundary(answers, columns, objects)
        rows = []
        for index, annotation in enumerate(objects.annotations):
            score = candidates.scores[index, columns[index]]
            numbers = {
                "iou": float(ious[index, columns[index]]),
                "iou_single": float(ious[index, singles[index]]),
                "iou_oracle": float(ious[index, candidates.multimask].max()),
                "score": float(score) if np.isfinite(score) else None,
            }
            if along_edges is not None:
                numbers["boundary_iou"] = along_edges[index]
            rows.append(self._row(task, annotation, numbers, None if clicks is None else clicks[index]))
        return rows

    def _boundary(self, answers: Answers, columns: Columns, objects: Objects) -> list[float] | None:
        if not self.protocol.boundary:
            return None
        masks = answers.candidates.masks(columns)
        return [float(boundary_iou(own[None], truth)[0]) for own, truth in zip(masks, objects.truths, strict=True)]

    def _row(
        self, task: str, annotation: Annotation, numbers: dict[str, Any], clicks: NDArray[np.float64] | None
    ) -> Row:
        return {
            "protocol": self.protocol.name,
            "task": task,
            "image_id": annotation.image_id,
            "annotation_id": annotation.id,
            "category_id": annotation.category_id,
            "area": annotation.area,
            "iscrowd": annotation.iscrowd,
            **numbers,
            "clicks": None if clicks is None else clicks.ravel().tolist(),
            "replaced": ";".join(self.replaced[task]) or None,
        }
