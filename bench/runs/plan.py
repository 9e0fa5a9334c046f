"""A run's plan: the five identities, which model does which task of which protocol, and how images form shards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt

from adapters.cards import ModelCard, card
from adapters.checkpoints import Weights
from adapters.errors import InputError
from bench.conditions import Conditions
from bench.datasets import Dataset, Image
from bench.protocols import Protocol
from bench.protocols.tasks import (
    DETECTOR_BOX,
    EVERYTHING,
    PAIR,
    check_asked,
    detector_of,
    expand_tasks,
    group_of,
    takes_detections,
)
from bench.runs.abilities import obstacle, replacements
from bench.runs.detections import Detections

SCHEMA = 2
SHARD_IMAGES = 8


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Job(_Data):
    """A task of a protocol that a model does.

    Attributes:
        protocol, task: their names.
        replaced: knobs that the model can't do, and the value taken instead, "key=value".
    """

    protocol: str
    task: str
    replaced: tuple[str, ...] = ()


class ModelIdentity(_Data):
    """A model, its weights and what it is asked.

    Attributes:
        name, title, source, licence, preprocessing: from its card.
        weights: the sha256 of the checkpoint, "random" or "none"; short_weights as it stands in tables.
        official: whether the checkpoint is proven to be the published one.
        masks: how many candidates it gives for a prompt.
        jobs: what it is asked, by protocol and task.
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
    jobs: tuple[Job, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of its tasks."""
        return tuple(dict.fromkeys(job.task for job in self.jobs))


class DatasetIdentity(_Data):
    """The data: its name, digest, and whether numbers on it may be held against published ones.

    Attributes:
        images: taken; total_images: of the annotation file.
    """

    name: str
    kind: str
    digest: str
    images: int
    total_images: int
    comparable: bool


class DetectionsIdentity(_Data):
    """The detector's boxes: file name, digest, how many are taken."""

    name: str
    digest: str
    boxes: int


class DetectorIdentity(_Data):
    """A model whose boxes others are asked by: name and title from its card, its weights as in ModelIdentity."""

    name: str
    title: str
    weights: str
    short_weights: str
    official: bool


class Omission(_Data):
    """A task of a protocol that a model can't do, and why."""

    model: str
    protocol: str
    task: str
    reason: str


class Plan(_Data):
    """All that decides what a run computes. Two runs of the same plan give the same bytes."""

    models: tuple[ModelIdentity, ...]
    dataset: DatasetIdentity
    protocols: tuple[Protocol, ...]
    detections: DetectionsIdentity | None
    detectors: tuple[DetectorIdentity, ...] = ()
    tasks: tuple[str, ...]
    omitted: tuple[Omission, ...]
    conditions: Conditions
    shard_images: PositiveInt

    def shards(self, images: Sequence[Image]) -> list[Sequence[Image]]:
        """Return the images cut into shards of consecutive ones."""
        return [images[start : start + self.shard_images] for start in range(0, len(images), self.shard_images)]

    def boxes_of(self, protocol: Protocol, task: str) -> str:
        """Name whose boxes a task of everything mode asks by, with their hash's first digits; empty for no boxes."""
        if task == EVERYTHING and takes_detections(protocol, task) and self.detections is not None:
            return f"{self.detections.name.replace(';', ',')} {self.detections.digest[:12]}"
        named = detector_of(protocol, task)
        return next((f"{own.name} {own.short_weights}" for own in self.detectors if own.name == named), "")


def make_plan(
    models: Mapping[str, Weights],
    dataset: Dataset,
    protocols: Sequence[Protocol],
    asked: Sequence[str],
    detections: Detections | None,
    conditions: Conditions,
    detectors: Mapping[str, Weights] | None = None,
) -> Plan:
    """Make the plan of a run.

    Args:
        models: with their weights.
        dataset: the images.
        protocols, asked: by which rules, and which of their tasks.
        detections: of a file.
        conditions: device, precision and the like.
        detectors: models whose boxes the protocols ask by, with their weights.

    Raises:
        InputError: for an unknown task, one that lacks its detections or its reference model, or if no model can do any
            of the tasks.
    """
    check_asked(asked, protocols)
    tasks = list(dict.fromkeys(task for protocol in protocols for task in expand_tasks(asked, protocol)))
    _check_detections(protocols, asked, detections)
    _check_references(protocols, asked, models)
    _check_kind(protocols, dataset.kind)
    identities, omitted = [], []
    for name, weights in models.items():
        jobs = []
        for protocol, task in ((p, task) for p in protocols for task in expand_tasks(asked, p)):
            why = obstacle(card(name), protocol, task)
            if why is None:
                instead = tuple(replacements(card(name), protocol, task))
                jobs.append(Job(protocol=protocol.name, task=task, replaced=instead))
            else:
                omitted.append(Omission(model=name, protocol=protocol.name, task=task, reason=why))
        if jobs:
            identities.append(_identity(card(name), weights, tuple(jobs)))
    if not identities:
        reasons = "; ".join(f"{one.protocol}, {one.model}, {one.task}: {one.reason}" for one in omitted)
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
            total_images=len(dataset.known_images),
            comparable=dataset.comparable,
        ),
        protocols=tuple(protocols),
        detections=boxes,
        detectors=tuple(_detector(name, weights) for name, weights in (detectors or {}).items()),
        tasks=tuple(tasks),
        omitted=tuple(omitted),
        conditions=conditions,
        shard_images=SHARD_IMAGES,
    )


def _identity(chosen: ModelCard, weights: Weights, jobs: tuple[Job, ...]) -> ModelIdentity:
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
        jobs=jobs,
    )


def _detector(name: str, weights: Weights) -> DetectorIdentity:
    return DetectorIdentity(
        name=name,
        title=card(name).title,
        weights=weights.identity,
        short_weights=weights.short,
        official=weights.official,
    )


def _check_detections(protocols: Sequence[Protocol], asked: Sequence[str], detections: Detections | None) -> None:
    """Raise InputError where boxes are needed and not given, or given and not needed."""
    taking = [(own, task) for own in protocols for task in expand_tasks(asked, own) if takes_detections(own, task)]
    if detections is not None and not taking:
        raise InputError("--detections is given, but detector_box isn't among the --tasks")
    for protocol, task in taking if detections is None else ():
        if task == DETECTOR_BOX:
            raise InputError("the task detector_box needs a detector's boxes: --detections FILE (COCO results format)")
        raise InputError(
            f"{protocol.name}: everything.boxes: a detector's boxes needed: --detections FILE (COCO results format)"
        )


def _check_references(protocols: Sequence[Protocol], asked: Sequence[str], models: Collection[str]) -> None:
    """Raise InputError where a protocol compares with a model that isn't among those run, or can't do it."""
    for protocol in protocols:
        pairs = [task for task in expand_tasks(asked, protocol) if group_of(task) == PAIR]
        if protocol.pairs is None or not pairs:
            continue
        reference = f"{protocol.name}: pairs.reference: {protocol.pairs.reference}"
        if protocol.pairs.reference not in models:
            raise InputError(f"{reference} must be among the --models to compare with")
        why = obstacle(card(protocol.pairs.reference), protocol, pairs[0])
        if why is not None:
            raise InputError(f"{reference} can't be compared with: {why}")


def _check_kind(protocols: Sequence[Protocol], kind: str) -> None:
    """Raise InputError for knobs that mean something on LVIS alone."""
    for protocol in protocols:
        if kind == "lvis":
            continue
        if protocol.annotations.lvis_subset is not None:
            raise InputError(f"{protocol.name}: annotations.lvis_subset: the data aren't LVIS's; --limit takes a part")
        if protocol.everything is not None and protocol.everything.federated:
            raise InputError(f"{protocol.name}: everything.federated: the data aren't LVIS's, and not federated")


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
