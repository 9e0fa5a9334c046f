"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[str, typer.Option(help="Names, separated by commas, or all.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[str, typer.Option(help="fp32, or bf16 or fp16 autocast.")]
WeightsOf = Annotated[list[str] | None, typer.Option(help="random, NAME=FILE, or FILE for a single model.")]
Fetch = Annotated[bool, typer.Option("--fetch", help="Download the checkpoints that are missing.")]
AllowUnknownHash = Annotated[
    bool,
    typer.Option("--allow-unknown-hash", help="Take checkpoints that can't be proven to be the official ones."),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Leave out, count and name images and boxes that can't be used.")
]
Limit = Annotated[int | None, typer.Option(help="The first N images alone.")]
RunOut = Annotated[Path | None, typer.Option(help="The run's folder; a run that was stopped goes on there.")]
