"""Checks of the card against itself and against what was loaded, before anything is asked."""

from __future__ import annotations

import numpy as np

from adapters.adapter import Adapter, Embedding
from adapters.errors import InputError
from adapters.prompts import BACKGROUND, FOREGROUND, LOGITS, Prompts, Words
from bench.check_adapter.trial import Trial, WrongError

NEEDS = {"negative": ("point",), "box_point": ("box", "point")}


def card_agrees_with_itself(trial: Trial) -> None:
    """A declared kind of prompt must come with those it is made of."""
    card = trial.card
    if not {"box", "point", "text"} & card.prompts:
        raise WrongError("prompts: neither box nor point nor text is declared, so nothing can be asked")
    for kind, needed in NEEDS.items():
        if kind in card.prompts and not set(needed) <= card.prompts:
            raise WrongError(f"prompts: {kind} needs {' and '.join(needed)} as well")
    if card.masks < (0 if card.prompts == {"text"} else 1):
        raise WrongError(f"masks: {card.masks} given, at least 1 needed")


def it_loads(trial: Trial) -> None:
    """The family's build must return an Adapter that knows what it is."""
    adapter = trial.adapter
    if not isinstance(adapter, Adapter):
        raise WrongError(f"build returned {type(adapter).__name__}, an adapters.adapter.Adapter is needed")
    for name in ("card", "weights"):
        if not hasattr(adapter, name):
            raise WrongError(f"the adapter has no attribute {name}")
    if adapter.card != trial.card:
        raise WrongError(f"its card is {adapter.card.name}'s")


def parameters_are_the_cards(trial: Trial) -> None:
    """parameters() must return what the card says."""
    held = trial.adapter.parameters()
    if trial.card.parameters is not None and held != trial.card.parameters:
        raise WrongError(f"the card says {trial.card.parameters} parameters, parameters() returns {held}")


def evaluation_mode(trial: Trial) -> None:
    """No module may be in training mode: dropout would be random, and BatchNorm would learn from what is measured."""
    training = [module for module in trial.modules.found if module.training]
    if training:
        raise WrongError(f"{type(training[0]).__name__} is in training mode: call eval() after loading")


def what_it_cannot_take_is_refused(trial: Trial) -> None:
    """What the card doesn't declare, or is no image or lies outside it, must be refused, with the model's name."""
    adapter, card, embedding = trial.adapter, trial.card, trial.embedding
    for what, prompts in _undeclared(trial).items():
        _refused(what, lambda: adapter.decode(embedding, prompts), card.name)  # noqa: B023
    if "text" not in card.prompts:
        _refused("words", lambda: adapter.ground(embedding, Words.from_caption("a dog")), card.name)
    if not card.everything:
        _refused("everything mode", lambda: adapter.everything(embedding), card.name)
    _refused("an image of floats", lambda: adapter.encode(trial.scene.pixels.astype(np.float32)))
    beside = np.array([[500.0, 500.0, 600.0, 600.0]])
    if "box" in card.prompts:
        _refused("a box outside the image", lambda: adapter.decode(embedding, Prompts.from_boxes(beside)))
    else:
        outside = Prompts.from_points(beside[:, None, :2], [[FOREGROUND]])
        _refused("a point outside the image", lambda: adapter.decode(embedding, outside))


def encoding(trial: Trial) -> None:
    """An Embedding must know its image's size, also of one upright and of odd sides."""
    for scene, embedding in ((trial.scene, trial.embedding), (trial.other, trial.other_embedding)):
        size = scene.pixels.shape[:2]
        if not isinstance(embedding, Embedding):
            raise WrongError(f"encode returned {type(embedding).__name__}, an adapters.adapter.Embedding is needed")
        if tuple(embedding.image_size) != size:
            raise WrongError(f"image_size is {tuple(embedding.image_size)}, height and width are {size}")


def stages_are_marked(trial: Trial) -> None:
    """Encoding must be marked, so that it is timed apart."""
    if not {"preprocess", "encode"} & trial.stages:
        raise WrongError("encode marks no stage: wrap its parts in adapters.stages.stage('preprocess') and ('encode')")


def _undeclared(trial: Trial) -> dict[str, Prompts]:
    """Return by its name a prompt of each kind that the card doesn't declare."""
    scene, card = trial.scene, trial.card
    box, point = scene.boxes[:1], scene.points[:1, None]
    kinds = {
        "box": Prompts.from_boxes(box),
        "point": Prompts.from_points(point, [[FOREGROUND]]),
        "negative": Prompts.from_points(point, [[BACKGROUND]]),
        "box_point": Prompts.from_boxes_and_points(box, point, [[FOREGROUND]]),
    }
    undeclared = {kind: prompts for kind, prompts in kinds.items() if kind not in card.prompts}
    if "mask" not in card.prompts:
        logits = np.zeros((1, LOGITS, LOGITS), np.float32)
        kind = "box" if "box" in card.prompts else "point"
        declared = kinds[kind]
        undeclared["mask"] = Prompts(declared.boxes, declared.points, declared.labels, logits)
    if card.max_points is not None:
        many = np.repeat(point, card.max_points + 1, axis=1)
        undeclared[f"{card.max_points + 1} points"] = Prompts.from_points(many, np.ones(many.shape[:2]))
    return undeclared


def _refused(what: str, call: object, name: str = "") -> None:
    assert callable(call)
    try:
        call()
    except InputError as error:
        if name not in str(error):
            raise WrongError(f"{what} is refused without the model's name ({error})") from None
        return
    except Exception as error:
        raise WrongError(f"{what} isn't refused by an InputError, but fails with {type(error).__name__}") from None
    raise WrongError(
        f"{what} isn't refused: override _encode, _decode and _everything, and not encode, decode, everything"
    )
