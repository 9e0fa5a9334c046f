"""The command line. Commands import what they need when they run, so that --help answers at once."""

from __future__ import annotations

import sys

import typer

from adapters.errors import InputError
from bench.cli import models, protocols, run, weights

app = typer.Typer(
    name="sambench",
    help="A benchmark for promptable segmentation: one prompt interface, named protocols, traceable numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("models")(models.models)
app.command("protocols")(protocols.protocols)
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line: exit 0 when done, 2 with one line when used wrongly."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        sys.exit(_told(str(error)))


def _told(line: str) -> int:
    print(f"sambench: {line}", file=sys.stderr)
    return 2
