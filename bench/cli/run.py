"""sambench run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError
from bench.cli.asked import SAMPLE, model_names, model_weights, split
from bench.cli.options import AllowUnknownHash, Device, Dtype, Fetch, KeepGoing, Limit, Models, RunOut, WeightsOf

if TYPE_CHECKING:
    from adapters.checkpoints import Weights
    from bench.datasets import Dataset
    from bench.protocols import Protocol
    from bench.runs.detections import Detections
    from bench.runs.plan import Plan

DEFAULT = "efficientvit"


def run(
    models: Models = "mobile_sam,grabcut",
    data: Annotated[
        str, typer.Option(help="sample, or a folder of images/ + annotations.json, COCO's or LVIS's.")
    ] = SAMPLE,
    tasks: Annotated[
        str,
        typer.Option(help="box, box_click, click, noc, pair, detector_box, everything, words, separated by commas."),
    ] = "box,click",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="By which rules: names or TOML files, separated by commas; they share one encoding.",
            show_default="efficientvit; words for words",
        ),
    ] = None,
    detections: Annotated[Path | None, typer.Option(help="A detector's boxes in COCO's results format.")] = None,
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "fp32",
    out: RunOut = None,
    weights: WeightsOf = None,
    fetch: Fetch = False,
    allow_unknown_hash: AllowUnknownHash = False,
    keep_going: KeepGoing = False,
) -> None:
    """Measure models on a dataset, and print the table.

    A run that was stopped goes on where it stopped when the same command is given again.
    """
    from bench.report.table import print_run

    folder = run_folder(
        split(models),
        data,
        split(tasks),
        _default_protocols(split(tasks)) if protocol is None else split(protocol),
        detections,
        limit,
        device,
        dtype,
        out,
        weights or [],
        fetch,
        allow_unknown_hash,
        keep_going,
    )
    print_run(folder)


def run_folder(
    models: Sequence[str],
    data: str,
    tasks: Sequence[str],
    protocols: Sequence[str],
    detections: Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "fp32",
    out: Path | None = None,
    weights: Sequence[str] = (),
    fetch: bool = False,
    allow_unknown_hash: bool = False,
    keep_going: bool = False,
) -> Path:
    """Make a run, or go on with it, and return its folder. The arguments are those of the command.

    Raises:
        InputError: for anything that can't be used, before anything is written.
    """
    from bench.conditions import prepare
    from bench.datasets.annotations import check_annotations
    from bench.datasets.check import check_images
    from bench.protocols.tasks import check_asked
    from bench.runs.execute import execute
    from bench.runs.folder import RunFolder
    from bench.runs.plan import make_plan

    rules = _protocols(protocols)
    names = model_names(models, weights)
    check_asked(tasks, rules)
    conditions = prepare(device, dtype)
    dataset = _dataset(data, limit)
    boxes = _detections(detections, data, tasks, rules, dataset, keep_going)
    if not keep_going:
        check_annotations(dataset)
        check_images(dataset)
    finders = _detectors(rules, tasks)
    chosen = model_weights(list(dict.fromkeys([*names, *finders])), weights, fetch, allow_unknown_hash)
    asked, finding = ({name: chosen[name] for name in some} for some in (names, finders))
    plan = make_plan(asked, dataset, rules, tasks, boxes, conditions, finding)
    folder = RunFolder(out or Path("runs") / f"{dataset.name}-{_digest(plan)}")
    folder.check_free_for(plan)
    _check_loadable(chosen, conditions.device)
    with _progress(plan) as on_images:
        execute(plan, dataset, chosen, boxes, folder, keep_going, on_images)
    return folder.path


def _default_protocols(tasks: Sequence[str]) -> list[str]:
    """Return by which rules tasks are done where none are named: no other preset has words."""
    if "words" not in tasks:
        return [DEFAULT]
    return ["words"] if set(tasks) == {"words"} else [DEFAULT, "words"]


def _protocols(names: Sequence[str]) -> list[Protocol]:
    from bench.protocols import protocol

    if not names:
        raise InputError("--protocol names no protocol")
    found = [protocol(name) for name in dict.fromkeys(names)]
    for first, second in combinations(found, 2):
        if first.name == second.name:
            raise InputError(f"two protocols are called {first.name}: rename one of the files")
    return found


def _dataset(data: str, limit: int | None) -> Dataset:
    from bench.datasets.named import dataset_named

    dataset = dataset_named(data)
    return dataset if limit is None else dataset.first(limit)


def _detections(
    file: Path | None,
    data: str,
    asked: Sequence[str],
    rules: Sequence[Protocol],
    dataset: Dataset,
    keep_going: bool,
) -> Detections | None:
    """Read the detector's boxes; the drawn scenes bring their own."""
    from bench.datasets.sample import sample_folder
    from bench.protocols.tasks import expand_tasks, takes_detections
    from bench.runs.detections import read_detections

    taken = any(takes_detections(own, task) for own in rules for task in expand_tasks(asked, own))
    if file is None and data == SAMPLE and taken:
        file = sample_folder() / "detections.json"
    if file is None:
        return None
    return read_detections(file, dataset, keep_going=keep_going)


def _detectors(rules: Sequence[Protocol], asked: Sequence[str]) -> list[str]:
    """Return the models whose boxes protocols ask by."""
    from bench.protocols.tasks import detector_of, expand_tasks
    from bench.ways import check_detector

    found = {detector_of(own, task): own.name for own in rules for task in expand_tasks(asked, own)}
    named = {name: protocol for name, protocol in found.items() if name is not None}
    for name, protocol in named.items():
        check_detector(name, f"{protocol}: everything.boxes")
    return list(named)


def _check_loadable(chosen: dict[str, Weights], device: str) -> None:
    """Find missing extras, and checkpoints that are another model's, before anything is written."""
    import adapters
    from adapters.checkpoints import RANDOM

    for name, weights in chosen.items():
        adapters.family(name)
        if weights.identity != RANDOM and not weights.official:
            adapters.load(name, weights, device)


def _digest(plan: Plan) -> str:
    from hashlib import sha256

    return sha256(plan.model_dump_json().encode()).hexdigest()[:8]


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[str, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {model.name: progress.add_task(model.name, total=plan.dataset.images) for model in plan.models}
        yield lambda model, count: progress.advance(bars[model], count)
