"""sambench protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bench.protocols import Protocol

app = typer.Typer(help="Protocols: the rules under which numbers are taken.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="A preset's name, or a TOML file.")]


@app.callback()
def protocols(context: typer.Context) -> None:
    """List the presets, with version, digest and source."""
    from rich.table import Table

    from bench.protocols import protocol, protocol_names
    from bench.protocols.tasks import tasks_of
    from bench.report.console import console

    if context.invoked_subcommand is not None:
        return
    table = Table("name", "version", "digest", "tasks", "source")
    for name in protocol_names():
        rules = protocol(name)
        table.add_row(name, str(rules.version), rules.digest[:12], ", ".join(tasks_of(rules)), rules.source)
    console().print(table)


@app.command()
def show(name: Name) -> None:
    """Show every knob of a protocol."""
    from rich.table import Table

    from bench.protocols import protocol
    from bench.protocols.difference import knobs
    from bench.report.console import console

    rules = protocol(name)
    table = Table("knob", "value")
    for key, value in knobs(rules).items():
        table.add_row(key, _shown(value))
    console().print(table)
    for line in _naming(rules):
        console().print(line, highlight=False, markup=False)


@app.command()
def diff(first: Name, second: Name) -> None:
    """Show the knobs in which two protocols differ, and no other."""
    from rich.table import Table

    from bench.protocols import protocol
    from bench.protocols.difference import difference
    from bench.report.console import console

    ours, theirs = protocol(first), protocol(second)
    found = difference(ours, theirs)
    table = Table("knob", ours.name, theirs.name)
    for knob in found:
        table.add_row(knob.key, _shown(knob.first), _shown(knob.second))
    if found:
        console().print(table)
    else:
        console().print(f"{ours.name} and {theirs.name} have the same knobs", highlight=False)
    for line in [*_naming(ours), *_naming(theirs)]:
        console().print(line, highlight=False, markup=False)


def _naming(rules: Protocol) -> list[str]:
    lines = [f"{rules.identity}: {rules.source}"]
    if rules.note:
        lines.append(f"  {'AS PUBLISHED: ' if rules.as_published else ''}{' '.join(rules.note.split())}")
    return lines


def _shown(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return "-"
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))
