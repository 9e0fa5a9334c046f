"""What is asked about the image, read from the command line, and what of it a model can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.adapter import check_takes
from adapters.cards import ModelCard
from adapters.errors import InputError
from adapters.prompts import BACKGROUND, FOREGROUND, Prompts, Words
from adapters.ways.grid import PointGrid
from adapters.ways.way import Way


@dataclass(frozen=True)
class Request:
    """One prompt, words, everything in the image, or several of these.

    Attributes:
        prompts: a single prompt, in pixels of the image, x right, y down; None if there is none.
        everything: whether all there is in the image is asked for as well.
        words: whose objects are asked for as well; None if there are none.
    """

    prompts: Prompts | None
    everything: bool = False
    words: Words | None = None

    def __bool__(self) -> bool:
        return self.prompts is not None or self.everything or self.words is not None


def parse(
    points: Sequence[str], negatives: Sequence[str], box: str | None, everything: bool, text: str | None = None
) -> Request:
    """Return the request that the options mean; all points and the box form one prompt.

    Args:
        points, negatives: "x,y" each, on the object and beside it.
        box: "x0,y0,x1,y1".
        everything: ask for all there is.
        text: phrases, separated by full stops.

    Raises:
        InputError: where nothing is asked, or coordinates or words can't be understood.
    """
    words = None if text is None else Words.from_caption(text)
    on = [_numbers("--point", text, "x,y") for text in points]
    beside = [_numbers("--negative", text, "x,y") for text in negatives]
    clicks, labels = on + beside, [FOREGROUND] * len(on) + [BACKGROUND] * len(beside)
    corners = None if box is None else _numbers("--box", box, "x0,y0,x1,y1")
    if corners is not None and clicks:
        return Request(Prompts.from_boxes_and_points([corners], [clicks], [labels]), everything, words)
    if corners is not None:
        return Request(Prompts.from_boxes([corners]), everything, words)
    if clicks:
        return Request(Prompts.from_points([clicks], [labels]), everything, words)
    if not everything and words is None:
        raise InputError("nothing is asked: give --point x,y, --box x0,y0,x1,y1, --text WORDS or --everything")
    return Request(None, everything, words)


def takeable(card: ModelCard, request: Request, way: Way | None = None) -> tuple[Request, list[str]]:
    """Return what of a request a model takes by its card, and in words, with its name, what it doesn't.

    ``way`` is that in which everything is asked for, the automatic mask generator's by default.
    """
    prompts, everything, words, refused = request.prompts, request.everything, request.words, []
    if prompts is not None:
        try:
            check_takes(card, prompts)
        except InputError as error:
            prompts = None
            refused.append(str(error))
    if words is not None:
        try:
            check_takes(card, words)
        except InputError as error:
            words = None
            refused.append(str(error))
    why = (way or PointGrid()).obstacle(card) if everything else None
    if why is not None:
        everything = False
        refused.append(f"{card.name} {why.removeprefix('it ')}")
    return Request(prompts, everything, words), refused


def _numbers(option: str, text: str, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != form.count(",") + 1:
        raise InputError(f"{option} {text}: {form} needed, in pixels of the image")
    return numbers
