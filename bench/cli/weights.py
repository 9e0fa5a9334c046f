"""sambench weights list | fetch | verify | convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from adapters.cards import ModelCard
    from adapters.checkpoints import Weights

app = typer.Typer(help="Official checkpoints: list, fetch, verify, convert.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Models; all that have a checkpoint, if none is named.")]
Trust = Annotated[bool, typer.Option("--allow-unknown-hash", help="Keep files for which no hash is published.")]


@app.command("list")
def list_weights() -> None:
    """List the official checkpoints, and which of them are in the cache."""
    from rich.table import Table

    from adapters.checkpoints import cached_path
    from bench.report.console import console, megabytes

    table = Table("model", "sha256", "size", "here", "licence", "address")
    for card in _cards(None):
        assert card.checkpoint is not None
        path = cached_path(card)
        here = "yes" if path is not None and path.exists() else "no"
        proof = card.checkpoint.sha256 or (
            f"git {card.checkpoint.git_blob}" if card.checkpoint.git_blob else "not known"
        )
        table.add_row(card.name, proof[:16], megabytes(card.checkpoint.bytes), here, card.licence, card.checkpoint.url)
    console().print(table)


@app.command("fetch")
def fetch_weights(names: Names = None, allow_unknown_hash: Trust = False) -> None:
    """Download official checkpoints into the cache; each is kept only if its hash is the published one."""
    from adapters.errors import InputError
    from bench.report.console import console

    failed = []
    for card in _cards(names):
        try:
            fetched = fetch_shown(card, allow_unknown_hash)
        except InputError as error:
            failed.append(str(error))
            continue
        proof = "official" if fetched.official else "not proven"
        console().print(f"{card.name}: {fetched.short} {proof}, {fetched.path}", soft_wrap=True, markup=False)
    if failed:
        raise InputError("; ".join(failed))


@app.command("verify")
def verify_weights(names: Names = None) -> None:
    """Check the hashes of the checkpoints in the cache. Exits 1 if one is wrong."""
    from adapters.checkpoints import cached_path, prove
    from adapters.errors import InputError
    from bench.report.console import console

    wrong = False
    for card in _cards(names):
        path = cached_path(card)
        if path is None or not path.exists():
            if names:
                raise InputError(f"{card.name}: its checkpoint isn't in the cache: sambench weights fetch {card.name}")
            continue
        try:
            console().print(f"{card.name}: official, sha256 {prove(path, card).identity}", soft_wrap=True, markup=False)
        except InputError as error:
            wrong = True
            console().print(str(error), soft_wrap=True, markup=False)
    if wrong:
        raise typer.Exit(1)


@app.command("convert")
def convert_weights(
    name: Annotated[str, typer.Argument(help="A model.")],
    file: Annotated[Path, typer.Argument(help="Its checkpoint, as published.")],
    allow_unknown_hash: Annotated[
        bool, typer.Option("--allow-unknown-hash", help="Take a file that can't be proven to be the official one.")
    ] = False,
) -> None:
    """Turn a checkpoint that is a pickle into safetensors in the cache, running none of its code.

    Results go on naming the file it was made from, by its sha256.
    """
    from adapters.cards import card
    from adapters.checkpoints import resolve
    from adapters.converted import convert
    from bench.report.console import console

    weights = resolve(card(name), file, allow_unknown_hash)
    path = convert(card(name), weights)
    proof = "official" if weights.official else "not proven"
    console().print(f"{name}: {path}, made from {weights.short} {proof}, {file}", soft_wrap=True, markup=False)


def fetch_shown(card: ModelCard, allow_unknown_hash: bool) -> Weights:
    """Fetch a checkpoint with a progress bar on the terminal."""
    import sys

    from tqdm import tqdm

    from adapters.download import fetch

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    with tqdm(desc=card.name, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        return fetch(card, say, bar, allow_unknown_hash)


def _cards(names: list[str] | None) -> list[ModelCard]:
    from adapters.cards import card, cards

    chosen = [one for name in names for one in (name, *card(name).parts)] if names else list(cards())
    return [card(name) for name in dict.fromkeys(chosen) if card(name).checkpoint is not None]
