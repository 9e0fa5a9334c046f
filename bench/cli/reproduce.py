"""sambench reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError
from bench.cli.options import AllowUnknownHash, Device, Dtype, Fetch, KeepGoing, Limit, RunOut, WeightsOf

FAILED = 1

if TYPE_CHECKING:
    from bench.papers.cells import Cell
    from bench.papers.missing import AtHand


def reproduce(
    table: Annotated[str, typer.Argument(help="Its name; sambench tables lists them.")],
    data: Annotated[str | None, typer.Option(help="As in sambench run.")] = None,
    models: Annotated[str | None, typer.Option(help="Of the table's models these alone, separated by commas.")] = None,
    detections: Annotated[Path | None, typer.Option(help="The detector's boxes, COCO's results format.")] = None,
    limit: Limit = None,
    finished: Annotated[
        Path | None,
        typer.Option("--from", help="A finished run's folder: no model is run; with --data it is scored again."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "fp32",
    out: RunOut = None,
    csv: Annotated[Path | None, typer.Option(help="The file of cells; RUN/reproduce-TABLE.csv, if not given.")] = None,
    weights: WeightsOf = None,
    fetch: Fetch = False,
    allow_unknown_hash: AllowUnknownHash = False,
    keep_going: KeepGoing = False,
) -> None:
    """Measure a published table again, and print it cell by cell beside the paper's. Exits 1 where a cell differs.

    A run that was stopped goes on where it stopped when the same command is given again.
    """
    from bench.cli.run import run_folder
    from bench.files import write_whole
    from bench.papers.cells import cells
    from bench.papers.missing import AtHand, is_cached, missing
    from bench.papers.outcome import check_protocols, outcomes
    from bench.papers.run_results import RunResults
    from bench.papers.show import outcomes_csv, print_outcomes
    from bench.papers.table import table as table_named
    from bench.papers.verdict import Verdict

    chosen = table_named(table)
    asked = _asked(cells(chosen), models)
    if finished is not None and any(given is not None for given in (detections, limit, out, weights)):
        raise InputError("--from takes a finished run: --detections, --limit, --out, --weights are its own")
    if finished is not None and data is not None:
        _score_again(finished, data)
    if finished is None and data is None and any(cell.task for cell in asked):
        raise InputError(f"--data DIR or --from RUN needed; the paper's data: {_data_of(asked)}")
    given = weights or []
    at_hand = _at_hand(data, detections, given, fetch)
    to_run = [cell for cell in asked if cell.task and missing(cell, at_hand) is None] if finished is None else []
    if detections is not None and not any(cell.detector for cell in asked):
        raise InputError(f"--detections is given, but no cell of {table} takes a detector's boxes")
    if to_run:
        boxes = detections if any(cell.detector for cell in to_run) else None
        rest = (boxes, limit, device, dtype, out, given, fetch, allow_unknown_hash, keep_going)
        finished = run_folder(_models(to_run), str(data), _tasks(to_run), _presets(to_run), *rest)
    run = RunResults(finished) if finished is not None else None
    if run is not None:
        check_protocols(chosen, asked, run)
        at_hand = AtHand(is_cached, (run.plan.dataset.kind, run.plan.dataset.name), run.plan.detections is not None)
    found = outcomes(asked, run, at_hand)
    print_outcomes(chosen, found, run)
    file = csv or (run.folder / f"reproduce-{table}.csv" if run is not None else None)
    if file is not None:
        write_whole(file, outcomes_csv(found, run))
        typer.echo(f"file: {file}")
    if all(outcome.measured is None for outcome in found):
        reasons = dict.fromkeys(outcome.mend or outcome.reason for outcome in found)
        raise InputError(f"nothing of {table} could be measured: {'; '.join(reasons)}")
    if any(outcome.verdict == Verdict.DIFFERS for outcome in found):
        raise typer.Exit(FAILED)


def _score_again(finished: Path, data: str) -> None:
    from bench.datasets.named import dataset_named
    from bench.runs.rescore import rescore

    rescore(finished, dataset_named(data))


def _asked(cells: Sequence[Cell], models: str | None) -> list[Cell]:
    """Return the cells of the models asked for."""
    from adapters import card
    from bench.cli.asked import split

    if models is None:
        return list(cells)
    asked = split(models)
    if not asked:
        raise InputError("--models names no model")
    has = list(dict.fromkeys(cell.model for cell in cells if cell.model is not None))
    for name in asked:
        if name not in has:
            card(name)
            raise InputError(f"--models {name}: {cells[0].table.name} has {', '.join(has)}")
    return [cell for cell in cells if cell.model in asked]


def _data_of(cells: Sequence[Cell]) -> str:
    return "; ".join(dict.fromkeys(f"{cell.data.title} ({cell.data.get})" for cell in cells if cell.task))


def _at_hand(data: str | None, detections: Path | None, weights: Sequence[str], fetch: bool) -> AtHand:
    """Return what there is to run with."""
    from bench.datasets.named import SAMPLE, dataset_named
    from bench.papers.missing import AtHand, is_cached

    named = {value.partition("=")[0] for value in weights if "=" in value}
    for_all = fetch or any("=" not in value for value in weights)

    def has_weights(model: str) -> bool:
        return for_all or model in named or is_cached(model)

    if data is None:
        return AtHand(has_weights, boxes=detections is not None)
    dataset = dataset_named(data)
    return AtHand(has_weights, (dataset.kind, dataset.name), data == SAMPLE or detections is not None)


def _models(cells: Sequence[Cell]) -> list[str]:
    from bench.papers.missing import models_for

    return list(dict.fromkeys(model for cell in cells for model in models_for(cell)))


def _tasks(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.task for cell in cells))


def _presets(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.preset for cell in cells))
