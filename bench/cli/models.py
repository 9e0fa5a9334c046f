"""sambench models."""

from __future__ import annotations


def models() -> None:
    """List the models: parameters, prompts, licence, and whether their weights are here."""
    from rich.table import Table

    from adapters.cards import cards
    from adapters.checkpoints import cached_path
    from bench.report.console import console

    table = Table("name", "model", "parameters", "prompts", "licence", "weights here", "official code", "note")
    for card in cards().values():
        path = cached_path(card)
        here = "none needed" if path is None else ("yes" if path.exists() else "no")
        prompts = ", ".join(kind for kind in ("box", "point", "negative", "mask") if kind in card.prompts)
        millions = f"{card.parameters / 1e6:.1f} M" if card.parameters else "-"
        table.add_row(card.name, card.title, millions, prompts, card.licence, here, card.source, card.note)
    console().print(table)
