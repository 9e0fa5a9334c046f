"""The command line. Commands import what they need when they run, so that --help answers at once."""

from __future__ import annotations

import sys

import typer

from adapters.errors import InputError
from bench.cli import (
    check_adapter,
    compare,
    doctor,
    history,
    latency,
    leaderboard,
    models,
    predict,
    protocols,
    report,
    reproduce,
    run,
    speedups,
    tables,
    weights,
)

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="sambench",
    help="A benchmark for promptable segmentation: one prompt interface, named protocols, traceable numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("tables")(tables.tables)
app.command("reproduce")(reproduce.reproduce)
app.command("latency")(latency.latency)
app.command("compare")(compare.compare)
app.command("history")(history.history)
app.command("speedups")(speedups.speedups)
app.command("doctor")(doctor.doctor)
app.command("models")(models.models)
app.command("check-adapter")(check_adapter.check_adapter)
app.add_typer(protocols.app, name="protocols")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line: exit 0 done, 1 a check failed, 2 used wrongly, with one line that says how; 130 stopped."""
    try:
        status = app(standalone_mode=False) or DONE
    except typer.Exit as end:
        status = end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except (InputError, OSError) as error:
        status = _told(str(error), MISUSED)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's errors of usage have it
            raise
        status = _told(error.format_message() or "what to do? see sambench --help", MISUSED)
    if status == INTERRUPTED:
        _told("stopped; the same command goes on where it stopped", status)
    sys.exit(status)


def _told(line: str, status: int) -> int:
    print(f"sambench: {' '.join(line.split())}", file=sys.stderr)
    return status
