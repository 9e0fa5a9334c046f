"""sambench history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import InputError, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bench.latency.history import History

RESULTS = Path("results")
FORMATS = (".svg", ".png", ".pdf")
COLUMNS_OF_PANELS, PANEL = 2, (6.0, 2.6)


def history(
    model: Annotated[str | None, typer.Option(help="This model alone.")] = None,
    stage: Annotated[str | None, typer.Option(help="This stage alone.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw it into this file, .svg, .png or .pdf.")] = None,
    results: Annotated[Path, typer.Option(help="The folder that `sambench latency --record` writes to.")] = RESULTS,
) -> None:
    """Show how medians went from recording to recording, and where they stepped."""
    from rich.table import Table

    from bench.latency.history import histories
    from bench.report.console import console

    if out is not None and out.suffix not in FORMATS:
        raise InputError(f"--out {out}: a name that ends in {', '.join(FORMATS)} needed")
    chosen = _chosen(histories(results), model, stage)
    table = Table("machine, condition", "model", "stage", "recordings", "last ms", "steps", title="history of medians")
    for own in chosen:
        table.add_row(
            f"{own.machine}\n{own.condition}, {own.threads or '?'} threads",
            f"{own.model}\n{own.weights}",
            own.stage if own.batch == "1" else f"{own.stage}, batch {own.batch}",
            str(len(own.medians)),
            f"{own.medians[-1]:.4g}",
            "\n".join(_steps(own)) or "-",
        )
    console().print(table)
    if out is not None:
        draw(chosen, out)
        console().print(f"file: {out}", highlight=False, markup=False, soft_wrap=True)


def draw(chosen: Sequence[History], out: Path) -> None:
    """Draw histories, a panel each: medians with their intervals, a line at each step."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = -(-len(chosen) // COLUMNS_OF_PANELS)
    columns = min(len(chosen), COLUMNS_OF_PANELS)
    figure = Figure(figsize=(columns * PANEL[0], rows * PANEL[1]), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for own, panel in zip(chosen, panels, strict=False):
        _panel(own, panel)
    for panel in panels[len(chosen) :]:
        panel.set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "sambench"}):
        figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def _panel(own: History, panel: Axes) -> None:
    places = range(len(own.medians))
    below = [max(0.0, median - low) for median, low in zip(own.medians, own.low, strict=True)]
    above = [max(0.0, high - median) for median, high in zip(own.medians, own.high, strict=True)]
    panel.errorbar(places, own.medians, yerr=[below, above], fmt="o-", markersize=3, capsize=2, linewidth=1)
    for step in own.steps():
        panel.axvline(step.index - 0.5, color="tab:red" if step.ratio > 1 else "tab:green", linestyle="--")
        panel.annotate(_percent(step.ratio), (step.index - 0.5, max(own.high)), fontsize=8)
    panel.set_title(own.title, fontsize=7)
    panel.set_ylabel("ms")
    panel.set_xticks(list(places), own.revisions, rotation=45, ha="right", fontsize=6)


def _chosen(found: Sequence[History], model: str | None, stage: str | None) -> list[History]:
    for kind, name, known in (
        ("model", model, [own.model for own in found]),
        ("stage", stage, [own.stage for own in found if model in (None, own.model)]),
    ):
        if name is not None and name not in known:
            raise unknown(f"{kind} in the history", name, set(known))
    return [own for own in found if model in (None, own.model) and stage in (None, own.stage)]


def _steps(own: History) -> Iterable[str]:
    for step in own.steps():
        other = own.torch[step.index] != own.torch[step.index - 1]
        torch = f", torch {own.torch[step.index - 1]} to {own.torch[step.index]}" if other else ""
        yield (
            f"{own.dates[step.index][:10]} {own.revisions[step.index]}: {_percent(step.ratio)},"
            f" {step.before:.4g} to {step.after:.4g}{torch}"
        )


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"
