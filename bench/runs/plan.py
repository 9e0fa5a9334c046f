"""A run's plan: the five identities, which model does which task, and how the images are cut into shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.cards import ModelCard, card
from adapters.checkpoints import Weights
from adapters.errors import InputError
from bench.datasets import Dataset, Image
from bench.protocols import Protocol
from bench.runs.conditions import Conditions
from bench.runs.detections import Detections
from bench.runs.tasks import DETECTOR_BOX, expand_tasks, obstacle

SCHEMA = 1
SHARD_IMAGES = 8


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class ModelIdentity(_Data):
    """A model, its weights and what it is asked.

    Attributes:
        name, title, source, licence, preprocessing: from its card.
        weights: the sha256 of the checkpoint, "random" or "none"; short_weights as it stands in tables.
        official: whether the checkpoint is proven to be the published one.
        masks: how many candidates it gives for a prompt.
        tasks: those it can do.
    """

    name: str
    title: str
    source: str
    licence: str
    preprocessing: str
    weights: str
    short_weights: str
    official: bool
    masks: int
    tasks: tuple[str, ...]


class DatasetIdentity(_Data):
    """The data: its name, digest, and whether numbers on it may be held against published ones."""

    name: str
    kind: str
    digest: str
    images: int
    comparable: bool


class DetectionsIdentity(_Data):
    """The detector's boxes: file name, digest, how many are taken."""

    name: str
    digest: str
    boxes: int


class Omission(_Data):
    """A task that a model can't do, and why."""

    model: str
    task: str
    reason: str


class Plan(_Data):
    """All that decides what a run computes. Two runs of the same plan give the same bytes."""

    models: tuple[ModelIdentity, ...]
    dataset: DatasetIdentity
    protocol: Protocol
    detections: DetectionsIdentity | None
    tasks: tuple[str, ...]
    omitted: tuple[Omission, ...]
    conditions: Conditions
    shard_images: int

    def shards(self, images: Sequence[Image]) -> list[Sequence[Image]]:
        """Return the images cut into shards of consecutive ones."""
        return [images[start : start + self.shard_images] for start in range(0, len(images), self.shard_images)]


def make_plan(
    models: Mapping[str, Weights],
    dataset: Dataset,
    protocol: Protocol,
    asked: Sequence[str],
    detections: Detections | None,
    conditions: Conditions,
) -> Plan:
    """Make the plan of a run.

    Raises:
        InputError: for an unknown task, one that lacks its detections, or if no model can do any of the tasks.
    """
    tasks = expand_tasks(asked, protocol)
    if DETECTOR_BOX in tasks and detections is None:
        raise InputError("the task detector_box needs a detector's boxes: --detections FILE (COCO results format)")
    if DETECTOR_BOX not in tasks and detections is not None:
        raise InputError("--detections is given, but detector_box isn't among the --tasks")
    identities, omitted = [], []
    for name, weights in models.items():
        obstacles = {task: obstacle(card(name), task) for task in tasks}
        omitted += [Omission(model=name, task=task, reason=why) for task, why in obstacles.items() if why is not None]
        able = tuple(task for task, why in obstacles.items() if why is None)
        if able:
            identities.append(_identity(card(name), weights, able))
    if not identities:
        reasons = "; ".join(f"{model.model} {model.task}: {model.reason}" for model in omitted)
        raise InputError(f"no model can do any of the tasks ({reasons})")
    boxes = None
    if detections is not None:
        count = sum(map(len, detections.by_image.values()))
        boxes = DetectionsIdentity(name=detections.name, digest=detections.digest, boxes=count)
    return Plan(
        models=tuple(identities),
        dataset=DatasetIdentity(
            name=dataset.name,
            kind=dataset.kind,
            digest=dataset.digest,
            images=len(dataset.images),
            comparable=dataset.comparable,
        ),
        protocol=protocol,
        detections=boxes,
        tasks=tuple(tasks),
        omitted=tuple(omitted),
        conditions=conditions,
        shard_images=SHARD_IMAGES,
    )


def _identity(chosen: ModelCard, weights: Weights, tasks: tuple[str, ...]) -> ModelIdentity:
    return ModelIdentity(
        name=chosen.name,
        title=chosen.title,
        source=chosen.source,
        licence=chosen.licence,
        preprocessing=chosen.preprocessing,
        weights=weights.identity,
        short_weights=weights.short,
        official=weights.official,
        masks=chosen.masks,
        tasks=tasks,
    )


def first_difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Return in words the first value in which two plans (as JSON) differ, None if they are the same."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in [*after, *before]:
        if before.get(key) != after.get(key):
            return f"{key} is {before.get(key)} there, {after.get(key)} now"
    return None


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        yield prefix, len(value)
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{prefix}[{index}]")
    else:
        yield prefix, value
