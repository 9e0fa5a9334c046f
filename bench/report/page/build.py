"""From studies to one HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.protocols.tasks import EVERYTHING
from bench.report.choice_text import lines, metric_words, task_words
from bench.report.choose import Choice
from bench.report.costs import Costs
from bench.report.page.answers import answers, front_words
from bench.report.page.conditions import conditions
from bench.report.page.figures import distribution, first_of, likeness, proposals, stages, trade_off, ways
from bench.report.page.gallery import Gallery
from bench.report.page.parts import Figure
from bench.report.page.published import other_rules, same_rules
from bench.report.page.tables import tables
from bench.report.read import Run
from bench.report.study import Study


@dataclass(frozen=True)
class Content:
    """What the page is about.

    Attributes:
        runs: all of them.
        studies: all of them.
        main: the one that figures and answers are about.
        costs: of its models.
        reference: the label of the model that others are tested against.
        choice: what came of choosing, None if nothing was asked for.
        gallery: pictures, None without data.
    """

    runs: Sequence[Run]
    studies: Sequence[Study]
    main: Study
    costs: Costs
    reference: str
    choice: Choice | None = None
    gallery: Gallery | None = None


def page(content: Content) -> str:
    """Return the page as HTML."""
    main, costs = content.main, content.costs
    script = _file("page.js")
    tasks = list(first_of(main.instance_tasks))
    task = (tasks or main.tasks)[0]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"task_words": task_words, "metric_words": metric_words}
    segmented = [proposals(main), trade_off(main, costs, EVERYTHING)] if EVERYTHING in main.tasks else []
    others = other_rules(main) if main.data.comparable else []
    more = [study for study in content.studies if study is not main]
    return environment.from_string(_file("page.html.j2")).render(
        version=__version__,
        policy=_policy(script),
        style=Markup(_file("page.css")),
        script=Markup(script),
        main=main,
        costs=costs,
        reference=content.reference,
        answers=list(answers(main, costs, content.choice)),
        choice=list(lines(content.choice, main, costs))[1:] if content.choice is not None else [],
        front=front_words(main, costs, task),
        trade_offs=_kept(trade_off(main, costs, one) for one in tasks),
        tables=list(tables(main, content.reference)),
        stages=stages(main, costs),
        distributions=_kept(distribution(main, one) for one in tasks),
        likeness=_kept(likeness(main, one) for one in tasks[:1]),
        everything=_kept([*segmented, ways(content.runs, main)]),
        gallery=content.gallery,
        same=same_rules(main) if main.data.comparable else [],
        others=others,
        differences=list(dict.fromkeys((one.verdict, one.task, one.why) for one in others)),
        more=[(study, list(tables(study, _reference(study, content.reference)))) for study in more],
        conditions=conditions(content.studies, content.runs, costs),
    )


def _reference(study: Study, wanted: str) -> str:
    return wanted if wanted in study.labels else study.labels[0]


def _kept(figures: Iterable[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]


def _file(name: str) -> str:
    return (resources.files("bench.report.page") / name).read_text("utf-8")


def _policy(script: str) -> str:
    """Return a policy under which the page can load nothing, and runs this script alone."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
