"""sambench models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from adapters.cards import ModelCard


def models(
    complexity: Annotated[
        bool, typer.Option("--complexity", help="Count parameters, MACs and FLOPs of encoder and decoder.")
    ] = False,
) -> None:
    """List the models: parameters, prompts, licence, whether their weights are here, what they were held against."""
    from adapters.cards import cards, problems
    from bench.report.console import console

    def say(line: str) -> None:
        console().print(line, highlight=False, markup=False, soft_wrap=True)

    console().print(_complexity_table() if complexity else _table())
    if complexity:
        say("by torch's counter: encoder for an image, decoder for one point; a MAC is two FLOPs")
    else:
        for card in cards().values():
            say(f"{card.name}: {card.title}, {card.source}{'. ' if card.note else ''}{card.note}")
    for line in problems():
        say(line)


def _table() -> Table:
    from rich.table import Table

    from adapters.cards import cards

    table = Table("name", "parameters", "prompts", "licence", "weights here", "proven by")
    table.columns[0].no_wrap = True
    table.columns[-1].overflow = "fold"
    for card in cards().values():
        prompts = ", ".join(kind for kind in ("box", "point", "negative", "mask", "text") if kind in card.prompts)
        millions = f"{card.parameters / 1e6:.1f} M" if card.parameters else "-"
        proven = f"can't be run: {card.unpublished}" if card.unpublished else card.proven
        table.add_row(card.name, millions, prompts or "-", card.licence, _here(card), proven or "-")
    return table


def _here(card: ModelCard) -> str:
    """Say whether the weights of a model, or of all that it is made of, are in the cache."""
    from adapters.cards import cards
    from adapters.checkpoints import cached_path

    if card.unpublished:
        return "-"
    paths = [path for name in (card.name, *card.parts) if (path := cached_path(cards()[name])) is not None]
    return ("yes" if all(path.exists() for path in paths) else "no") if paths else "none needed"


def _complexity_table() -> Table:
    """Return what each model costs; one whose extra isn't installed, or that has no network, says so."""
    from rich.table import Table

    from adapters import names
    from adapters.complexity import complexity
    from adapters.errors import InputError

    parts = ("encoder", "decoder")
    headers = [f"{part}\n{what}" for part in parts for what in ("M parameters", "G MACs", "G FLOPs")]
    table = Table("name", *headers, "of the encoder's G MACs\nin attention products", "note")
    for name in names():
        try:
            found = complexity(name)
        except InputError as error:
            table.add_row(name, *["-"] * 7, str(error))
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
        table.add_row(name, *(f"{count / unit:.2f}" for count, unit in counts), "")
    return table
