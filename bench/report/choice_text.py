"""A choice in words: for the terminal, the page, and a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from bench.protocols.tasks import BOX, BOX_CLICK, CLICK, DETECTOR_BOX, EVERYTHING, NOC, PAIR, WORDS, group_of, number_of
from bench.report.choose import Choice, Standing, told
from bench.report.costs import Costs
from bench.report.study import Study

METRICS = {"miou": "mIoU", "ap": "AP", "boundary_iou": "boundary IoU"}


def task_words(task: str) -> str:
    """Return a task as one says it."""
    group = group_of(task)
    if group == BOX:
        return "a box"
    if group in (CLICK, BOX_CLICK):
        count = number_of(task)
        clicks = f"{count} click{'s' if count != 1 else ''}"
        return f"a box and {clicks}" if group == BOX_CLICK else clicks
    if group == NOC:
        return f"clicks until IoU {number_of(task)} %"
    if group == PAIR:
        return f"agreement, clicks {number_of(task)} px apart"
    others = {DETECTOR_BOX: "a detector's boxes", EVERYTHING: "everything mode", WORDS: "categories' names"}
    return others.get(task, task)


def metric_words(metric: str) -> str:
    """Return a metric as one writes it."""
    name, _, rest = metric.partition("_")
    if metric in METRICS:
        return METRICS[metric]
    if name.startswith(("ap", "ar")) and name[2:].isdigit():
        name = f"{name[:2].upper()}@{name[2:]}" if name.startswith("ar") else f"AP{name[2:]}"
    return f"{METRICS.get(name, name)}{f' {rest}' if rest else ''}".replace("_", " ")


def interval(value: float, low: float, high: float, unit: str = "") -> str:
    """Return a value with its interval, the value alone where it has none."""
    limits = f" [{told(low)}, {told(high)}]" if low < high else ""
    return f"{told(value)}{f' {unit}' if unit else ''}{limits}"


def sentence(choice: Choice) -> str:
    """Return the answer in one sentence."""
    under = f"Under {' and '.join(map(str, choice.requirements))}: " if choice.requirements else ""
    winner = choice.winner
    if winner is None:
        return f"{under}no model. {len(choice.excluded)} excluded."
    best = f"{winner.label}, {choice.objective.key} {interval(winner.value, winner.low, winner.high, choice.unit)}."
    return f"{under}{best} {tie_words(choice)}".strip()


def tie_words(choice: Choice) -> str:
    """Return who can't be told apart from the winner, in a sentence; nothing where there is nobody else."""
    counted = all(standing.low == standing.high for standing in choice.standings)
    if choice.tied:
        names = " or ".join(standing.label for standing in choice.tied)
        return f"The same as {names}." if counted else f"Not separable at 95 % from {names}."
    if counted or len(choice.standings) < 2:
        return ""
    others = choice.standings[1].label if len(choice.standings) == 2 else "all others"
    return f"Separable from {others} at 95 %."


def lines(choice: Choice, study: Study, costs: Costs) -> Iterator[str]:
    """Yield the choice for a terminal."""
    yield f"{study.title}; {study.data.images} images; costs: {costs.condition}, {costs.machine}"
    yield sentence(choice)
    for standing in choice.standings[1:]:
        relation = "behind" if standing.apart else "not separable"
        yield f"  {relation}: {_line(standing, choice.unit)}"
    for standing in choice.standings:
        for asked in standing.doubtful:
            yield f"  {standing.label}: the limit of {asked} lies within its interval"
    for label, reasons in choice.excluded.items():
        yield f"  excluded: {label}: {'; '.join(reasons)}"


def markdown(choice: Choice, study: Study, costs: Costs) -> Iterator[str]:
    """Yield the lines of a text for a pull request."""
    yield f"**{_escaped(sentence(choice))}**"
    yield ""
    yield f"| model | {choice.objective.key} | 95 % | against the winner |"
    yield "|---|---:|---|---|"
    for standing in choice.standings:
        limits = f"{told(standing.low)} to {told(standing.high)}" if standing.low < standing.high else ""
        place = "**winner**" if standing is choice.winner else _relation(standing)
        yield f"| {_escaped(standing.label)} | {told(standing.value)} | {limits} | {place} |"
    for label, reasons in choice.excluded.items():
        yield f"| {_escaped(label)} | | | excluded: {_escaped('; '.join(reasons))} |"
    yield ""
    data = study.data
    comparable = "" if data.comparable else ", drawn by the suite: not comparable with papers"
    yield (
        f"`{study.protocol.identity}` on {_escaped(data.name)} ({data.images} images, sha256"
        f" `{data.digest[:12]}`{comparable}); costs: {_escaped(f'{costs.condition}, {costs.machine}, {costs.source}')}."
    )


def _line(standing: Standing, unit: str) -> str:
    why = f" ({standing.why})" if standing.why else ""
    return f"{standing.label}, {interval(standing.value, standing.low, standing.high, unit)}{why}"


def _relation(standing: Standing) -> str:
    words = "behind" if standing.apart else "not separable"
    difference = standing.difference
    if difference is None:
        return f"{words}{f' ({standing.why})' if standing.why else ''}"
    limits = f"{-difference.value:+.1f} [{-difference.high:+.1f}, {-difference.low:+.1f}]"
    return f"{words}: {limits}, p = {difference.p:.2g}"


def _escaped(text: str) -> str:
    """Return text that Markdown takes for text."""
    for character in "\\`*_{}[]<>#|~":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
