"""sambench models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def models(
    complexity: Annotated[
        bool, typer.Option("--complexity", help="Count parameters, MACs and FLOPs of encoder and decoder.")
    ] = False,
) -> None:
    """List the models: parameters, prompts, licence, and whether their weights are here."""
    from adapters.cards import problems
    from bench.report.console import console

    console().print(_complexity_table() if complexity else _table())
    for line in problems():
        console().print(line, highlight=False, markup=False, soft_wrap=True)
    if complexity:
        console().print("by torch's counter: encoder for an image, decoder for one point; a MAC is two FLOPs")


def _table() -> Table:
    from rich.table import Table

    from adapters.cards import cards
    from adapters.checkpoints import cached_path

    table = Table("name", "model", "parameters", "prompts", "licence", "weights here", "official code", "note")
    for card in cards().values():
        path = cached_path(card)
        here = "none needed" if path is None else ("yes" if path.exists() else "no")
        prompts = ", ".join(kind for kind in ("box", "point", "negative", "mask") if kind in card.prompts)
        millions = f"{card.parameters / 1e6:.1f} M" if card.parameters else "-"
        table.add_row(card.name, card.title, millions, prompts, card.licence, here, card.source, card.note)
    return table


def _complexity_table() -> Table:
    """Return what each model costs; one whose extra isn't installed, or that has no network, says so."""
    from rich.table import Table

    from adapters.cards import cards
    from adapters.complexity import complexity
    from adapters.errors import InputError

    parts = ("encoder", "decoder")
    headers = [f"{part}\n{what}" for part in parts for what in ("M parameters", "G MACs", "G FLOPs")]
    table = Table("name", *headers, "of the encoder's G MACs\nin attention products", "note")
    for card in cards().values():
        try:
            found = complexity(card.name)
        except InputError as error:
            table.add_row(card.name, *["-"] * 7, str(error))
            continue
        counts = (
            (found.encoder_parameters, 1e6),
            (found.encoder_macs, 1e9),
            (found.encoder_flops, 1e9),
            (found.decoder_parameters, 1e6),
            (found.decoder_macs, 1e9),
            (found.decoder_flops, 1e9),
            (found.encoder_attention_flops / 2, 1e9),
        )
        table.add_row(card.name, *(f"{count / unit:.2f}" for count, unit in counts), "")
    return table
