"""The tasks: what each protocol asks of a model."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.errors import InputError, unknown
from bench.protocols.knobs import DETECTIONS
from bench.protocols.protocol import Protocol

BOX, DETECTOR_BOX, EVERYTHING, WORDS = "box", "detector_box", "everything", "words"
CLICK, BOX_CLICK, NOC, PAIR = "click", "box_click", "noc", "pair"
GROUPS = (BOX, BOX_CLICK, CLICK, NOC, PAIR, DETECTOR_BOX, EVERYTHING, WORDS)
PROMPTED_GROUPS = (BOX, BOX_CLICK, CLICK)
"""Each object is asked for and has an IoU of its own."""
PAIRED_GROUPS = (*PROMPTED_GROUPS, EVERYTHING)
"""Each object has a number of its own, so that two models can be compared object by object."""


def group_of(task: str) -> str:
    """Return the kind of a task, its name without the number."""
    return task.rstrip("0123456789")


def number_of(task: str) -> int:
    """Return a task's number: of clicks, percent of IoU, or pixels."""
    return int(task.removeprefix(group_of(task)))


def tasks_of(protocol: Protocol) -> list[str]:
    """Return all tasks of a protocol, in a fixed order."""
    tasks = []
    if protocol.boxes is not None:
        tasks += [BOX, *(f"{BOX_CLICK}{count}" for count in protocol.boxes.then_clicks)]
    if protocol.points is not None:
        tasks += [f"{CLICK}{count}" for count in protocol.points.counts]
    if protocol.noc is not None:
        tasks += [f"{NOC}{threshold:g}" for threshold in protocol.noc.thresholds]
    if protocol.pairs is not None:
        tasks += [f"{PAIR}{distance}" for distance in protocol.pairs.distances]
    if protocol.average_precision is not None:
        tasks.append(DETECTOR_BOX)
    if protocol.everything is not None:
        tasks.append(EVERYTHING)
    if protocol.words is not None:
        tasks.append(WORDS)
    return tasks


def expand_tasks(asked: Sequence[str], protocol: Protocol) -> list[str]:
    """Return those of a protocol's tasks that are asked for; "click" stands for all its click counts, and so on."""
    return [task for task in tasks_of(protocol) if task in asked or group_of(task) in asked]


def check_asked(asked: Sequence[str], protocols: Sequence[Protocol]) -> None:
    """Raise InputError for a task that no protocol has; it names the nearest one that some have."""
    if not asked:
        raise InputError("--tasks names no task")
    known = list(dict.fromkeys(task for protocol in protocols for task in tasks_of(protocol)))
    kinds = {group_of(task) for task in known}
    for task in asked:
        if task in GROUPS and task not in kinds:
            names = ", ".join(protocol.name for protocol in protocols)
            raise InputError(f"task {task}: {names} doesn't have it; it has {', '.join(known)}")
        if task not in known and task not in kinds:
            raise unknown("task", task, [*known, *sorted(kinds)])


def takes_detections(protocol: Protocol, task: str) -> bool:
    """Return whether a task asks by the boxes of the run's detections."""
    return task == DETECTOR_BOX or (task == EVERYTHING and _finder(protocol) == DETECTIONS)


def detector_of(protocol: Protocol, task: str) -> str | None:
    """Return the model whose boxes a task asks by, None if it takes no model's."""
    finder = _finder(protocol)
    return finder if task == EVERYTHING and finder != DETECTIONS else None


def _finder(protocol: Protocol) -> str | None:
    rules = protocol.everything
    return rules.boxes if rules is not None and rules.way == "objects" else None


def needs_negatives(protocol: Protocol, task: str) -> bool:
    """Return whether clicks beside the object can occur in a task."""
    if protocol.points is None or protocol.points.next == "random":
        return False
    return group_of(task) in (BOX_CLICK, NOC) or number_of(task) > 1
