"""sambench protocols."""

from __future__ import annotations


def protocols() -> None:
    """List the protocols, with version, digest and source."""
    from rich.table import Table

    from bench.protocols import protocol, protocol_names
    from bench.report.console import console

    table = Table("name", "version", "digest", "source")
    for name in protocol_names():
        rules = protocol(name)
        table.add_row(name, str(rules.version), rules.digest[:12], rules.source)
    console().print(table)
