"""Published numbers beside ours: where the protocol is the same, with a verdict; elsewhere, with what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.errors import InputError
from bench.papers.cells import Cell, cells
from bench.papers.missing import AtHand
from bench.papers.outcome import Outcome, outcomes
from bench.papers.run_results import Measured
from bench.papers.table import tables
from bench.protocols import protocol, protocol_names
from bench.protocols.difference import difference
from bench.protocols.tasks import BOX, BOX_CLICK, CLICK, DETECTOR_BOX, EVERYTHING, NOC, PAIR, WORDS, group_of
from bench.report.study import Entry, Study

SECTIONS = {
    BOX: ("annotations", "masks", "boxes.source", "resize", "average", "boundary"),
    BOX_CLICK: ("annotations", "masks", "boxes", "points", "resize", "average"),
    CLICK: ("annotations", "masks", "points", "resize", "average"),
    NOC: ("annotations", "masks", "points", "noc", "resize", "average"),
    PAIR: ("masks", "pairs", "resize"),
    DETECTOR_BOX: ("average_precision", "resize"),
    EVERYTHING: ("everything", "resize"),
    WORDS: ("words",),
}
"""The knobs that a task's number depends on."""

UNRELATED = ("points.counts", "boxes.then_clicks", "points.without_negatives")
"""Which numbers are taken, not how."""

LATER = ("points.next", "points.error_grid", "points.least_error", "masks.multi_click", "masks.feedback")
"""What matters from the second click on."""


@dataclass(frozen=True)
class Compared:
    """A published number and ours.

    Attributes:
        model: what it is called here.
        task, metric: ours.
        paper: where the number stands.
        published: it, with its unit.
        ours: measured.
        difference: ours less theirs.
        verdict: agrees, differs, or no verdict; under another protocol its name.
        why: the reason of the verdict, or what differs between the protocols.
    """

    model: str
    task: str
    metric: str
    paper: str
    published: str
    ours: Measured
    difference: float | None
    verdict: str
    why: str


def same_rules(study: Study) -> list[Compared]:
    """Return published numbers that were measured by the study's rules on data of this kind."""
    if not _is_current(study):
        return []
    at_hand = AtHand(lambda _: True, (study.data.kind, study.data.name), study.boxes is not None)
    found = []
    for entry in study.entries:
        own = [cell for cell in _cells(entry, study) if cell.preset == study.protocol.name]
        came = outcomes(own, entry.run.results, at_hand)
        found += [_judged(entry, outcome) for outcome in came if outcome.measured is not None]
    return found


def other_rules(study: Study) -> list[Compared]:
    """Return published numbers of the same model, task and metric by other rules, and which rules differ."""
    return [compared for entry in study.entries for compared in _others(entry, study)]


def _others(entry: Entry, study: Study) -> Iterator[Compared]:
    for cell in _cells(entry, study):
        if cell.preset == study.protocol.name or cell.preset not in protocol_names():
            continue
        ours = entry.run.results.number(entry.identity.name, study.protocol.name, cell.task, cell.ours)
        if ours is None or cell.published.value is None:
            continue
        told = differing(study, cell.preset, cell.task)
        if told:
            yield Compared(entry.label, cell.task, cell.ours, _paper(cell), _value(cell), ours, None, cell.preset, told)


def differing(study: Study, preset: str, task: str) -> str:
    """Return in words which knobs that a task depends on differ between the study's protocol and a preset."""
    unrelated = UNRELATED + (LATER if task in (BOX, f"{CLICK}1") else ())
    found = [
        f"{knob.key}: {_told(knob.second)} there, {_told(knob.first)} here"
        for knob in difference(study.protocol, protocol(preset))
        if _concerns(knob.key, task) and knob.key not in unrelated
    ]
    return "; ".join(found)


def _concerns(key: str, task: str) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in SECTIONS[group_of(task)])


def _is_current(study: Study) -> bool:
    """Return whether the study's protocol is the preset of its name, as it is today."""
    try:
        return protocol(study.protocol.name).identity == study.protocol.identity
    except InputError:
        return False


def _cells(entry: Entry, study: Study) -> list[Cell]:
    """Return the published accuracies of a model on data of the study's kind."""
    return [
        cell
        for table in tables().values()
        for cell in cells(table)
        if cell.model == entry.identity.name
        and cell.rule.measure == "accuracy"
        and cell.published.dataset
        and cell.data.is_like(study.data.kind, study.data.name)
    ]


def _judged(entry: Entry, outcome: Outcome) -> Compared:
    cell = outcome.cell
    assert outcome.measured is not None
    place = (entry.label, cell.task, cell.ours, _paper(cell), _value(cell))
    return Compared(*place, outcome.measured, outcome.difference, outcome.verdict.value, outcome.reason)


def _paper(cell: Cell) -> str:
    return f"{cell.published.paper}, {cell.published.table}"


def _value(cell: Cell) -> str:
    return f"{cell.published.published} {cell.published.published_unit}".strip()


def _told(value: object) -> str:
    return "none" if value is None else str(value)
