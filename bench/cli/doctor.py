"""sambench doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError
from bench.cli.options import Device, Dtype

if TYPE_CHECKING:
    from adapters.adapter import Adapter

SAMPLE = "sample"
STYLES = {"good": "green", "mind": "yellow", "unknown": "dim", "wrong": "bold red"}


def doctor(
    model: Annotated[str, typer.Option(help="The model that is tried.")] = "mobile_sam",
    weights: Annotated[str, typer.Option(help="random, official, or a file.")] = "random",
    device: Device = "auto",
    dtype: Dtype = "fp32",
    seconds: Annotated[float, typer.Option(help="How long the A/A run takes.")] = 20.0,
    data: Annotated[str, typer.Option(help="sample, or a folder of images.")] = SAMPLE,
    allow_unknown_hash: Annotated[
        bool,
        typer.Option("--allow-unknown-hash", help="Take a checkpoint that can't be proven to be the official one."),
    ] = False,
) -> None:
    """Say whether this machine is fit to measure on, and whether a model's times are what they seem.

    One line for each finding. Exits 1 if one of them is that numbers would mislead.
    """
    import adapters
    from adapters.checkpoints import resolve
    from bench.cli.latency import images_of
    from bench.conditions import prepare
    from bench.latency.doctor import examine
    from bench.latency.inputs import Inputs, read_image
    from bench.latency.plugins import load_plugins
    from bench.report.console import console

    load_plugins()
    if not seconds > 0:
        raise InputError("--seconds: more than 0 needed")
    chosen = resolve(adapters.card(model), None if weights == "official" else weights, allow_unknown_hash)
    conditions = prepare(device, dtype)
    inputs = Inputs([read_image(path) for path in images_of(data)])

    def load() -> Adapter:
        return adapters.load(model, chosen, conditions.device, dtype)

    out, wrong = console(), False
    out.print(f"{model}, {chosen.short} weights, {conditions.summary}", highlight=False, markup=False, soft_wrap=True)
    for finding in examine(load, inputs, seconds):
        wrong |= finding.level == "wrong"
        out.print(f"{finding.level:7}", style=STYLES[finding.level], end=" ")
        out.print(f"{finding.what}: {finding.line}", highlight=False, markup=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(1)
