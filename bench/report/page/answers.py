"""The answers that stand at the top of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.protocols.tasks import BOX, DETECTOR_BOX, EVERYTHING
from bench.report.choice_text import interval, metric_words, task_words, tie_words
from bench.report.choose import Choice, Objective, choose
from bench.report.costs import WORDS, Costs
from bench.report.leaderboard import main_metric
from bench.report.page.figures import FIRST_MASK, trade_off_frame
from bench.report.page.parts import listed
from bench.report.plots import pareto
from bench.report.study import Study

HEADLINES = ("click1", BOX, DETECTOR_BOX, EVERYTHING)
MOST = 3


@dataclass(frozen=True)
class Answer:
    """A question, the model that answers it, its number, and how sure that is."""

    question: str
    model: str
    number: str
    note: str


def answers(study: Study, costs: Costs, asked: Choice | None) -> Iterator[Answer]:
    """Yield the answers: to what was asked for, then to what is commonly asked."""
    if asked is not None:
        yield _answer(_asked_words(asked), asked)
    for task in [task for task in HEADLINES if task in study.tasks][:MOST]:
        metric = main_metric(task)
        aim = Objective(f"{task}.{metric}")
        if asked is None or asked.objective != aim or asked.requirements:
            yield _answer(f"Best {metric_words(metric)}, {task_words(task)}", choose(study, costs, aim))
    for key, question in ((FIRST_MASK, "Quickest first mask"), ("download_mb", "Smallest download")):
        if key in costs.keys and len(costs.of(key)) > 1:
            yield _answer(question, choose(study, costs, Objective(key, greatest=False)))


def front_words(study: Study, costs: Costs, task: str) -> str:
    """Say which models no other beats in both quality and time; empty where times aren't known."""
    frame = trade_off_frame(study, costs, task)
    if len(frame) < 2:
        return ""
    front = list(frame[pareto(frame)].sort_values("x")["label"])
    behind = [label for label in frame["label"] if label not in front]
    told = f"No model is both quicker and better than {listed(front, 'or')}"
    return f"{told}; {listed(behind)} {'is' if len(behind) == 1 else 'are'} beaten in both." if behind else f"{told}."


def _answer(question: str, choice: Choice) -> Answer:
    winner = choice.winner
    if winner is None:
        return Answer(question, "no model", "", f"{len(choice.excluded)} excluded")
    number = interval(winner.value, winner.low, winner.high, choice.unit)
    return Answer(question, winner.label, number, tie_words(choice))


def _asked_words(choice: Choice) -> str:
    under = f" under {listed(list(map(str, choice.requirements)))}" if choice.requirements else ""
    task, dot, metric = choice.objective.key.partition(".")
    words = f"{metric_words(metric)}, {task_words(task)}" if dot else WORDS.get(choice.objective.key, task)
    return f"{'Best' if dot else 'Most' if choice.objective.greatest else 'Least'} {words}{under}"
