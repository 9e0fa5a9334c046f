"""sambench predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.errors import InputError
from bench.cli.options import AllowUnknownHash, Device, Dtype, Fetch, Models, WeightsOf


def predict(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    models: Models = "mobile_sam,grabcut",
    point: Annotated[list[str] | None, typer.Option(help="x,y on the object; may be given several times.")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="x,y beside the object; several times too.")] = None,
    box: Annotated[str | None, typer.Option(help="x0,y0,x1,y1 around the object.")] = None,
    text: Annotated[str | None, typer.Option(help="What to find, such as 'a dog. a cat'.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Segment all there is.")] = False,
    protocol: Annotated[
        str | None, typer.Option(help="By whose rules everything is asked for: such as proposals-hierarchical.")
    ] = None,
    detections: Annotated[
        Path | None, typer.Option(help="A detector's boxes in COCO's results format, for rules that ask by them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where pictures, masks and COCO's JSON go.")] = None,
    device: Device = "auto",
    dtype: Dtype = "fp32",
    weights: WeightsOf = None,
    fetch: Fetch = False,
    allow_unknown_hash: AllowUnknownHash = False,
) -> None:
    """Ask models about one image, and look at the answers side by side.

    All points and the box form one prompt, in pixels of the image, x right, y down. What a model can't take is said,
    and the others go on.
    """
    from adapters import card
    from bench.cli.asked import model_names, model_weights, split
    from bench.conditions import prepare
    from bench.predict import folder, show
    from bench.predict.everything import how as asked_how
    from bench.predict.outcome import Asked, ask_all, files
    from bench.predict.picture import read_picture
    from bench.predict.request import parse, takeable
    from bench.report.console import console

    request = parse(point or [], negative or [], box, everything, text)
    how = asked_how(everything, protocol, detections)
    asked = [
        Asked(card(name), *takeable(card(name), request, how.way)) for name in model_names(split(models), weights or [])
    ]
    if not any(one.takes for one in asked):
        raise InputError("; ".join(why for one in asked for why in one.refused))
    out = out or Path("predictions") / image.stem
    folder.check_free(out)
    picture = read_picture(image)
    if request.prompts is not None:
        request.prompts.check_inside(*picture.size)
    conditions = prepare(device, dtype)
    held = dict.fromkeys([*(one.card.name for one in asked if one.takes), *how.detectors])
    chosen = model_weights(list(held), weights or [], fetch, allow_unknown_hash)
    outcome = ask_all(picture, request, asked, chosen, conditions, how)
    folder.write(out, files(outcome, request), outcome.record)
    console().print(show.table(outcome.record["models"]))
    for line in [
        *show.footnotes(outcome.record),
        f"files: {out}/sheet.png, overlays, masks, COCO results, predict.json",
    ]:
        console().print(line, highlight=False, markup=False, soft_wrap=True)
