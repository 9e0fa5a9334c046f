"""All checks, in the order in which they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from adapters.adapter import Adapter
from adapters.cards import ModelCard
from adapters.errors import InputError
from bench.check_adapter import answers, claims, frame, modes, words
from bench.check_adapter.trial import NotShownError, Trial, WrongError

Checks = tuple[tuple[str, Callable[[Trial], None]], ...]

CLAIMS: Checks = (
    ("the card agrees with itself", claims.card_agrees_with_itself),
    ("it loads", claims.it_loads),
    ("the card's number of parameters", claims.parameters_are_the_cards),
    ("evaluation mode", claims.evaluation_mode),
    ("images are encoded", claims.encoding),
    ("stages are marked", claims.stages_are_marked),
    ("what it can't take is refused by name", claims.what_it_cannot_take_is_refused),
)
PROMPTED: Checks = (
    ("shapes, types, scores and number of masks", answers.form),
    ("stability scores", answers.stability_scores),
    ("inputs are not written to", answers.inputs_are_not_written_to),
    ("a batch equals single prompts", answers.batch_equals_single),
    ("the order of prompts is kept", answers.order_is_kept),
    ("the same question, the same answer", answers.same_again),
    ("every declared kind of prompt matters", answers.prompts_matter),
    ("the card's number of points", answers.number_of_points),
    ("padding is ignored", answers.padding_is_ignored),
    ("prompts are in the original image's pixels", frame.prompts_scale_with_the_image),
    ("masks lie on their objects", frame.masks_lie_on_their_objects),
    ("everything mode", modes.everything_mode),
    ("other ways of resizing", modes.resizing),
)
WORDS: Checks = (("words", words.words),)
CHECKS = CLAIMS + PROMPTED + WORDS


@dataclass(frozen=True)
class Finding:
    """What a check found: passed, wrong, or not shown, and then why in a line."""

    check: str
    verdict: Literal["passed", "wrong", "not shown"]
    why: str = ""


def check(card: ModelCard, load: Callable[[], Adapter]) -> Iterator[Finding]:
    """Yield what each check finds, up to the first thing that is wrong.

    Args:
        card: what the adapter claims.
        load: makes a new adapter of the model, always with the same weights.

    Raises:
        InputError: where the model can't be loaded for a reason that isn't its adapter's: no checkpoint, no device.
    """
    trial = Trial(card, load)
    for name, one in CHECKS if {"box", "point"} & card.prompts else CLAIMS + WORDS:
        try:
            one(trial)
        except WrongError as error:
            yield Finding(name, "wrong", str(error))
            return
        except NotShownError as error:
            yield Finding(name, "not shown", str(error))
        except Exception as error:
            if one is claims.it_loads and isinstance(error, InputError):
                raise
            yield Finding(name, "wrong", f"it fails with {type(error).__name__}: {error}")
            return
        else:
            yield Finding(name, "passed")
