"""What is asked about the image, read from the command line, and what of it a model can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.adapter import check_takes
from adapters.cards import ModelCard
from adapters.errors import InputError
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts


@dataclass(frozen=True)
class Request:
    """One prompt, everything in the image, or both.

    Attributes:
        prompts: a single prompt, in pixels of the image, x right, y down; None if there is none.
        everything: whether all there is in the image is asked for as well.
    """

    prompts: Prompts | None
    everything: bool = False

    def __bool__(self) -> bool:
        return self.prompts is not None or self.everything


def parse(points: Sequence[str], negatives: Sequence[str], box: str | None, everything: bool) -> Request:
    """Return the request that the options mean; all points and the box form one prompt.

    Args:
        points, negatives: "x,y" each, on the object and beside it.
        box: "x0,y0,x1,y1".
        everything: ask for all there is.

    Raises:
        InputError: where nothing is asked, or coordinates can't be understood.
    """
    on = [_numbers("--point", text, "x,y") for text in points]
    beside = [_numbers("--negative", text, "x,y") for text in negatives]
    clicks, labels = on + beside, [FOREGROUND] * len(on) + [BACKGROUND] * len(beside)
    corners = None if box is None else _numbers("--box", box, "x0,y0,x1,y1")
    if corners is not None and clicks:
        return Request(Prompts.from_boxes_and_points([corners], [clicks], [labels]), everything)
    if corners is not None:
        return Request(Prompts.from_boxes([corners]), everything)
    if clicks:
        return Request(Prompts.from_points([clicks], [labels]), everything)
    if not everything:
        raise InputError("nothing is asked: give --point x,y, --box x0,y0,x1,y1 or --everything")
    return Request(None, everything)


def takeable(card: ModelCard, request: Request) -> tuple[Request, list[str]]:
    """Return what of a request a model takes by its card, and in words, with its name, what it doesn't."""
    prompts, everything, refused = request.prompts, request.everything, []
    if prompts is not None:
        try:
            check_takes(card, prompts)
        except InputError as error:
            prompts = None
            refused.append(str(error))
    if everything and not card.everything:
        everything = False
        refused.append(f"{card.name} has no everything mode")
    return Request(prompts, everything), refused


def _numbers(option: str, text: str, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != form.count(",") + 1:
        raise InputError(f"{option} {text}: {form} needed, in pixels of the image")
    return numbers
