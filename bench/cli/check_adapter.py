"""sambench check-adapter."""

from __future__ import annotations

from typing import Annotated

import typer

FAILED = 1
SIGNS = {"passed": "✓", "wrong": "✗", "not shown": "–"}


def check_adapter(
    name: Annotated[str, typer.Argument(help="A model; see sambench models.")],
    weights: Annotated[str, typer.Option(help="random, official (from the cache), or a file.")] = "random",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="fp32, or bf16 or fp16 autocast.")] = "fp32",
    allow_unknown_hash: Annotated[
        bool,
        typer.Option("--allow-unknown-hash", help="Take a checkpoint that can't be proven to be the official one."),
    ] = False,
) -> None:
    """Prove an adapter on tiny drawn scenes, through all that its card declares. Exits 1 at the first thing wrong.

    With weights, or without a network, it is also shown that masks lie where their objects are.
    """
    import adapters
    from adapters.checkpoints import resolve
    from bench.check_adapter.run import check
    from bench.report.console import console

    card = adapters.card(name)
    adapters.family(name)  # what it imports makes modules that aren't the model's
    chosen = resolve(card, None if weights == "official" else weights, allow_unknown_hash)
    for finding in check(card, lambda: adapters.load(name, chosen, device, dtype)):
        why = f": {finding.why}" if finding.why else ""
        line = f"{SIGNS[finding.verdict]} {finding.check}{why}"
        console().print(" ".join(line.split()), highlight=False, markup=False, soft_wrap=True)
        if finding.verdict == "wrong":
            raise typer.Exit(FAILED)
