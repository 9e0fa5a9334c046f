"""Which objects are worth looking at: the best, the median and the worst, and where models differ; their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.datasets import Annotation, Dataset, Image
from bench.report.page.pictures import picture
from bench.report.study import Entry, Study

Mask = NDArray[np.bool_]
Masks = Callable[[Entry, Image, Annotation, pd.Series], Mask | None]
"""Gives a model's mask for an object and its row of instances, None where it can't be had."""

KINDS = {
    "best": "Best on average",
    "median": "The ordinary case",
    "worst": "Worst on average",
    "apart": "Where they differ most",
}


@dataclass(frozen=True)
class Shown:
    """A model's answer: predicted and true IoU in percent, and the picture as a data: address, empty without a mask."""

    label: str
    iou: float
    score: float | None
    picture: str


@dataclass(frozen=True)
class Example:
    """An object in front of all models.

    Attributes:
        caption: file, category, size and prompt.
        picture: the object as annotated, and the prompt; a data: address.
        answers: of the models.
    """

    caption: str
    picture: str
    answers: tuple[Shown, ...]


@dataclass(frozen=True)
class Gallery:
    """Attributes:
    task: what was asked.
    groups: head, and examples.
    masks: whether models' masks are shown.
    """

    task: str
    groups: tuple[tuple[str, tuple[Example, ...]], ...]
    masks: bool


def picks(study: Study, task: str, count: int) -> dict[str, list[tuple[int, int]]]:
    """Return image and annotation of the objects to show, by kind, each image once in a kind.

    Best, median and worst by the mean of all models' IoU; apart by the greatest difference between two models.
    """
    parts = [study.instances(label, task).assign(label=label) for label in study.labels]
    rows = pd.concat([part[["label", "image_id", "annotation_id", "iou"]] for part in parts], ignore_index=True)
    table = rows.pivot_table(index=["image_id", "annotation_id"], columns="label", values="iou").dropna()
    if table.empty:
        return {}
    mean, spread = table.mean(axis=1), table.max(axis=1) - table.min(axis=1)
    orders = {
        "best": mean.sort_values(ascending=False, kind="stable"),
        "median": (mean - mean.median()).abs().sort_values(kind="stable"),
        "worst": mean.sort_values(kind="stable"),
    }
    if table.shape[1] > 1:
        orders["apart"] = spread.sort_values(ascending=False, kind="stable")
    return {kind: _first(order.index, count) for kind, order in orders.items()}


def gallery(study: Study, dataset: Dataset, task: str, count: int, masks: Masks | None = None) -> Gallery:
    """Return the pictures of a task.

    Args:
        study: whose models.
        dataset: whose images; the study's own.
        task: one that is measured object by object.
        count: so many objects of each kind.
        masks: where models' masks come from; None: the prompt and the object alone are shown.
    """
    images = {image.id: image for image in dataset.images}
    groups = []
    for kind, objects in picks(study, task, count).items():
        examples = tuple(_examples(study, dataset, images, task, objects, masks))
        groups.append((KINDS[kind], examples))
    return Gallery(task, tuple(groups), masks is not None)


def _first(order: pd.Index, count: int) -> list[tuple[int, int]]:
    chosen: dict[int, tuple[int, int]] = {}
    for image, annotation in order:
        if len(chosen) == count:
            break
        chosen.setdefault(int(image), (int(image), int(annotation)))
    return list(chosen.values())


def _examples(
    study: Study,
    dataset: Dataset,
    images: dict[int, Image],
    task: str,
    objects: Sequence[tuple[int, int]],
    masks: Masks | None,
) -> Iterator[Example]:
    for image_id, annotation_id in objects:
        image = images[image_id]
        annotation = next(own for own in image.annotations if own.id == annotation_id)
        truth = annotation.mask(image.height, image.width)
        pixels = image.pixels()
        rows = {
            entry.label: row for entry in study.entries if (row := _row(study, entry, task, annotation)) is not None
        }
        box = annotation.box if task.startswith("box") else None
        answers = []
        for entry in study.entries:
            if entry.label not in rows:
                continue
            row = rows[entry.label]
            mask = masks(entry, image, annotation, row) if masks is not None else None
            shown = "" if mask is None else picture(pixels, truth, box, row["clicks"], annotation.box, mask)
            score = None if pd.isna(row["score"]) else 100 * float(row["score"])
            answers.append(Shown(entry.label, float(row["iou"]), score, shown))
        clicks = next(iter(rows.values()))["clicks"]
        name = dataset.categories.get(annotation.category_id, str(annotation.category_id))
        caption = f"{name}, {annotation.area:,.0f} px², {_prompt(box, clicks)}; {image.path.name}"
        yield Example(caption, picture(pixels, truth, box, clicks, annotation.box, None), tuple(answers))


def _row(study: Study, entry: Entry, task: str, annotation: Annotation) -> pd.Series | None:
    own = study.instances(entry.label, task)
    own = own[(own["annotation_id"] == annotation.id) & (own["image_id"] == annotation.image_id)]
    if not len(own):
        return None
    clicks = entry.run.clicks.loc[own.index[0], "clicks"]
    given = np.zeros((0, 3)) if clicks is None else np.asarray(clicks, dtype=np.float64).reshape(-1, 3)
    row = own.iloc[0].copy()
    row["clicks"] = given
    return row


def _prompt(box: tuple[float, float, float, float] | None, clicks: NDArray[np.float64]) -> str:
    parts = [] if box is None else ["box"]
    if len(clicks):
        parts.append(f"{len(clicks)} click{'s' if len(clicks) != 1 else ''}")
    return " and ".join(parts)
