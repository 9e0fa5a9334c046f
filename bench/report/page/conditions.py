"""Under which conditions the page's numbers hold: weights, data, rules, machine, versions, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.cards import cards
from bench.protocols.difference import knobs
from bench.report.costs import Costs
from bench.report.read import Run
from bench.report.study import Study


@dataclass(frozen=True)
class Group:
    """Facts under a head: names and what they are; folded away if there are many."""

    title: str
    facts: tuple[tuple[str, str], ...]
    folded: bool = False


def conditions(found: Sequence[Study], runs: Sequence[Run], costs: Costs) -> list[Group]:
    """Return all conditions."""
    groups = [_data(found), *_models(found), Group("Times", tuple(_times(costs)))]
    groups += [_protocol(study) for study in {study.protocol.digest: study for study in found}.values()]
    groups += [Group(f"Machine and versions, {run.folder.name}", tuple(_machine(run)), folded=True) for run in runs]
    left_out = tuple(dict.fromkeys(fact for run in runs for fact in _left_out(run)))
    groups.append(Group("Left out", left_out or (("nothing", "every image, object and task was measured"),)))
    return groups


def _data(found: Sequence[Study]) -> Group:
    facts = {}
    for data in {study.data.digest: study.data for study in found}.values():
        share = f"{data.images} images" + ("" if data.images == data.total_images else f" of {data.total_images}")
        comparable = "" if data.comparable else "; drawn by the suite, not comparable with papers"
        facts[data.name] = f"{share}, {data.kind}, sha256 {data.digest}{comparable}"
    for boxes in {study.boxes.digest: study.boxes for study in found if study.boxes is not None}.values():
        facts[f"boxes: {boxes.name}"] = f"{boxes.boxes} boxes, sha256 {boxes.digest}"
    return Group("Data", tuple(facts.items()))


def _models(found: Sequence[Study]) -> Iterator[Group]:
    entries = {entry.label: entry for study in found for entry in study.entries}
    for label, entry in entries.items():
        identity = entry.identity
        card = cards().get(identity.name)
        note = (("note", card.note),) if card is not None and card.note else ()
        facts = (
            ("name", identity.name),
            ("weights", f"sha256 {identity.weights}" if len(identity.weights) == 64 else identity.weights),
            ("proven", "no weights" if identity.weights == "none" else entry.weights),
            ("source", identity.source),
            ("licence", identity.licence),
            ("preprocessing", identity.preprocessing),
            *note,
        )
        yield Group(label, facts, folded=True)


def _times(costs: Costs) -> Iterator[tuple[str, str]]:
    yield "condition", costs.condition
    yield "machine", costs.machine
    yield "how", costs.source
    if costs.others:
        yield "also measured, not shown", ", ".join(costs.others)
    for failed in costs.failed:
        yield "no time", failed


def _protocol(study: Study) -> Group:
    rules = study.protocol
    facts = [("identity", rules.identity), ("source", rules.source)]
    if rules.note:
        facts.append(("as published" if rules.as_published else "note", " ".join(rules.note.split())))
    facts += [(key, "not there" if value is None else str(value)) for key, value in knobs(rules).items()]
    return Group(f"Protocol {rules.name}", tuple(facts), folded=True)


def _machine(run: Run) -> Iterator[tuple[str, str]]:
    given = run.plan.conditions
    yield "conditions", given.summary
    yield "processor", f"{given.cpu}, {given.cores} cores, {given.threads} threads"
    if given.gpu is not None:
        yield "GPU", f"{given.gpu}, CUDA {given.cuda}, TF32 {'on' if given.tf32 else 'off'}"
    yield "system", given.system
    yield from given.versions.items()
    for name in ("started", "finished", "images_sha256"):
        if run.record.get(name):
            yield name.replace("_", " "), str(run.record[name])


def _left_out(run: Run) -> Iterator[tuple[str, str]]:
    for omitted in run.plan.omitted:
        yield f"{omitted.model}, {omitted.protocol}, {omitted.task}", f"not run: {omitted.reason}"
    alike: dict[tuple[str, str], list[str]] = {}
    for model, protocols in run.record.get("counts", {}).items():
        for protocol, tasks in protocols.items():
            for task, counted in tasks.items():
                for reason, count in counted["skipped"].items():
                    told = f"{count} of {counted['n_total']} left out: {reason}"
                    alike.setdefault((f"{protocol}, {task}", told), []).append(model)
    for (place, told), models in alike.items():
        yield f"{place}, {', '.join(models)}", told
    for image, why in run.record.get("unread", {}).items():
        yield f"image {image}", why.replace(str(run.folder), "")
