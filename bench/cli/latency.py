"""sambench latency."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError
from bench.cli.asked import SAMPLE
from bench.cli.options import AllowUnknownHash, Device, Fetch, Models, WeightsOf

if TYPE_CHECKING:
    from bench.latency.record import Record, Row
    from bench.latency.spec import Spec


def latency(
    models: Models = "mobile_sam",
    weights: WeightsOf = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, or bf16 or fp16 autocast; several, separated by commas.")] = "fp32",
    runtime: Annotated[
        str, typer.Option(help="eager, compile, channels_last, onnxruntime, openvino, separated by commas.")
    ] = "eager",
    stages: Annotated[str, typer.Option(help="Names, separated by commas, or all.")] = "all",
    samples: Annotated[int, typer.Option(help="Times taken of each stage.")] = 50,
    seconds: Annotated[
        float, typer.Option(help="A stage that has taken so long is warm, and content with five samples.")
    ] = 60.0,
    data: Annotated[str, typer.Option(help="sample, or a folder of images.")] = SAMPLE,
    processes: Annotated[
        int,
        typer.Option(
            help="Fresh processes that share each condition's samples, five or more each; one where it takes long."
        ),
    ] = 3,
    batches: Annotated[str, typer.Option(help="Also the encoder on so many images at once, such as 1,2,4.")] = "",
    prompts: Annotated[str, typer.Option(help="Also so many points at once, such as 1,10,100.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file; a measurement that was stopped goes on there.")] = None,
    keep: Annotated[
        bool, typer.Option("--record", help="Append the medians to results/<machine>/<condition>.csv.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(help="The Python of another environment: measure it in turn with this one, and compare."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="With --against: rounds of four processes, old, new, new, old.")] = 4,
    fetch: Fetch = False,
    allow_unknown_hash: AllowUnknownHash = False,
) -> None:
    """Time each stage of models, each condition in a fresh process, and print the table. Exits 1 if a row failed.

    A measurement that was stopped goes on where it stopped when the same command is given again.
    """
    from bench.cli.asked import model_names, model_weights, split
    from bench.latency.execute import execute
    from bench.latency.history import append
    from bench.latency.plan import Asked, left_out, plan
    from bench.latency.plugins import load_plugins
    from bench.latency.record import resumed
    from bench.latency.show import print_record
    from bench.latency.stages import stages as stages_of
    from bench.report.console import console

    if processes < 1:
        raise InputError(f"--processes: at least 1 needed, not {processes}")
    processes = processes if against is None else 2 * rounds
    load_plugins()
    timed = stages_of(split(stages), numbers(batches, "--batches"), numbers(prompts, "--prompts"))
    images = images_of(data)
    chosen = model_weights(model_names(split(models), weights or []), weights or [], fetch, allow_unknown_hash)
    asked = Asked(chosen, device, split(dtype), split(runtime), timed, images, samples, seconds, processes=processes)
    fresh, specs = plan(asked)
    if against is not None:
        _in_turn(fresh, specs, against, rounds, out)
        return
    path = out or Path("runs") / f"latency-{fresh.started.partition('+')[0].replace(':', '')}.json"
    record = resumed(path, fresh)
    execute(record, specs, path, told, processes=processes)
    keys = {row.key for row in fresh.rows}
    shown = [row for row in record.rows if row.key in keys]
    print_record(record, shown, console())
    for line in (*(f"left out: {why}" for why in left_out(asked)), f"file: {path}"):
        console().print(line, highlight=False, markup=False, soft_wrap=True)
    if keep:
        for file in append(record, Path("results")):
            console().print(f"recorded: {file}", highlight=False, markup=False, soft_wrap=True)
    if any(row.status != "measured" for row in shown):
        raise typer.Exit(1)


def _in_turn(fresh: Record, specs: Sequence[Spec], against: Path, rounds: int, out: Path | None) -> None:
    """Measure another environment and this one in turn, keep both records, and compare them. Exits 1 on slower."""
    from bench.cli.compare import print_comparison
    from bench.latency.compare import compare, regressed
    from bench.latency.interleave import interleaved

    base, new = interleaved(fresh, specs, str(against), sys.executable, rounds, lambda side, row: told(row))
    if out is not None:
        base.write(out.with_suffix(".base.json"))
        new.write(out)
    found = compare(base, new)
    print_comparison(found)
    if regressed(found):
        raise typer.Exit(1)


def numbers(text: str, option: str) -> list[int]:
    """Return whole numbers that are separated by commas.

    Raises:
        InputError: where they aren't.
    """
    from bench.cli.asked import split

    try:
        return [int(number) for number in split(text)]
    except ValueError:
        raise InputError(f"{option} {text}: whole numbers needed, separated by commas") from None


def images_of(data: str) -> list[Path]:
    """Return the image files of the drawn sample or of a folder."""
    from bench.datasets.sample import sample_folder
    from bench.latency.inputs import image_files

    return image_files(sample_folder() if data == SAMPLE else Path(data))


def told(row: Row) -> None:
    """Say on a terminal that a row is finished; a bar would keep this process busy while another is measured."""
    from bench.latency.show import duration

    if sys.stderr.isatty():
        what = duration(row.median) if row.status == "measured" else f"{row.status} ({row.reason})"
        print(f"{row.model} {row.device} {row.dtype} {row.runtime} {row.stage}: {what}", file=sys.stderr)
