"""sambench report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError, unknown

if TYPE_CHECKING:
    from bench.report.choose import Objective
    from bench.report.costs import Costs
    from bench.report.page.gallery import Gallery
    from bench.report.study import Study

PAGE = Path("report.html")


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    latency: Annotated[list[Path] | None, typer.Option(help="A file of sambench latency; also several.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; report.html, unless something is to be chosen.")] = None,
    require: Annotated[list[str] | None, typer.Option(help="Such as encode_ms<=50 or params_m<=20; repeat.")] = None,
    maximize: Annotated[str | None, typer.Option(help="What is to be greatest, such as click1.miou.")] = None,
    minimize: Annotated[str | None, typer.Option(help="What is to be least, such as download_mb.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the choice for a pull request.")] = False,
    protocol: Annotated[str | None, typer.Option(help="By whose rules, where runs hold several.")] = None,
    reference: Annotated[str | None, typer.Option(help="The model that others are tested against.")] = None,
    condition: Annotated[str | None, typer.Option(help="Of --latency: device/dtype/runtime, cpu/fp32/eager.")] = None,
    data: Annotated[str | None, typer.Option(help="As in sambench run: for pictures.")] = None,
    gallery: Annotated[bool, typer.Option("--gallery", help="Ask the models again, to show their masks.")] = False,
    examples: Annotated[int, typer.Option(help="Pictures of each kind.")] = 3,
    weights: Annotated[list[str] | None, typer.Option(help="For --gallery, as in sambench run.")] = None,
) -> None:
    """Choose among the models of finished runs, and make one page that shows why."""
    from bench.files import write_whole
    from bench.report.choice_text import lines
    from bench.report.choice_text import markdown as as_markdown
    from bench.report.choose import choose, requirement
    from bench.report.costs import costs as costs_of
    from bench.report.page.build import Content, page
    from bench.report.read import read_run
    from bench.report.study import chosen, studies

    _check(examples, data, gallery)
    aim = _objective(maximize, minimize, bool(require), markdown)
    read = [read_run(folder) for folder in dict.fromkeys(runs)]
    found = studies(read)
    main = chosen(found, protocol)
    if not len(main.results):
        raise InputError(f"{main.title}: the run holds no numbers")
    costs = costs_of(main, latency or [], condition)
    choice = None
    if aim is not None:
        choice = choose(main, costs, aim, [requirement(text) for text in require or []])
        typer.echo("\n".join((as_markdown if markdown else lines)(choice, main, costs)))
    target = out or (PAGE if aim is None else None)
    if target is None:
        return
    pictures = _gallery(main, data, gallery, examples, weights or []) if data is not None else None
    content = Content(read, found, main, costs, _reference(main, costs, reference), choice, pictures)
    write_whole(target, page(content).encode())
    typer.echo(f"file: {target}", err=markdown)


def _check(examples: int, data: str | None, gallery: bool) -> None:
    if examples < 1:
        raise InputError(f"--examples {examples}: at least 1 needed")
    if gallery and data is None:
        raise InputError("--gallery needs the pictures: --data sample or --data DIR")


def _objective(maximize: str | None, minimize: str | None, required: bool, markdown: bool) -> Objective | None:
    from bench.report.choose import Objective

    if maximize is not None and minimize is not None:
        raise InputError("--maximize and --minimize: one of them")
    if maximize is None and minimize is None:
        if required or markdown:
            raise InputError("--require and --markdown need --maximize or --minimize: what is to be best?")
        return None
    return Objective(maximize, True) if maximize is not None else Objective(str(minimize), False)


def _reference(study: Study, costs: Costs, wanted: str | None) -> str:
    """Return the label of the reference model: the one asked for, or the best at the first task."""
    from bench.report.choose import Objective, choose
    from bench.report.leaderboard import main_columns

    if wanted is None:
        winner = choose(study, costs, Objective(main_columns(study)[0])).winner
        return winner.label if winner is not None else study.labels[0]
    for entry in study.entries:
        if wanted in (entry.label, entry.identity.name):
            return entry.label
    raise unknown("model", wanted, [entry.identity.name for entry in study.entries])


def _gallery(study: Study, data: str, masks: bool, examples: int, given: list[str]) -> Gallery:
    from bench.datasets.named import dataset_named
    from bench.report.page.figures import first_of
    from bench.report.page.gallery import gallery

    dataset = dataset_named(data).first(study.data.images)
    if dataset.digest != study.data.digest:
        raise InputError(f"--data {data}: the runs were made on {study.data.name} (sha256 {study.data.digest[:12]})")
    tasks = list(first_of(study.instance_tasks))
    if not tasks:
        raise InputError("--data: no task of the runs is measured object by object, so there are no pictures to choose")
    decoder = None
    if masks:
        from bench.cli.asked import model_weights
        from bench.report.page.decode import Decoder

        names = list(dict.fromkeys(entry.identity.name for entry in study.entries))
        decoder = Decoder(study, model_weights(names, given, fetch=False, allow_unknown_hash=True), tasks[0])
    return gallery(study, dataset, tasks[0], examples, decoder)
