"""Checks of the coordinate frame: prompts come, and masks go, in pixels of the original image, x right, y down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from adapters.checkpoints import RANDOM
from adapters.prompts import Prompts
from bench.check_adapter.answer import Answer, ask
from bench.check_adapter.scene import Scene
from bench.check_adapter.trial import NotShownError, Trial, WrongError

Points = NDArray[np.float64]

SCALE = 2
CHAIN = np.array([[7.0, 5.0], [14.0, 10.0], [28.0, 20.0], [56.0, 40.0], [112.0, 80.0]])
"""Each place is the double of the one before: who forgets to scale answers about the next one."""

CLEARLY = 1.2
"""So much more unlike its own place than another an answer is, for it not to be rounding between two places alike."""

LEAST_IOU = 0.5
"""An object that stands out plainly must be found as well as this."""

NETWORK_SIDE = 1024

MISREAD: dict[str, Callable[[Points, Scene], Points]] = {
    "with x and y swapped": lambda points, scene: points[..., ::-1],
    "as shares of width and height": lambda points, scene: points / scene.pixels.shape[1::-1],
    "in the network's frame": lambda points, scene: points * NETWORK_SIDE / max(scene.pixels.shape[:2]),
    "mirrored left to right": lambda points, scene: np.stack(
        [scene.pixels.shape[1] - points[..., 0], points[..., 1]], axis=-1
    ),
    "mirrored top to bottom": lambda points, scene: np.stack(
        [points[..., 0], scene.pixels.shape[0] - points[..., 1]], axis=-1
    ),
}
"""How else an adapter might understand places: given so, a wrong one answers right."""

MISPLACED: dict[str, Callable[[NDArray[np.bool_]], NDArray[np.bool_]]] = {
    "mirrored left to right": lambda masks: masks[..., ::-1],
    "mirrored top to bottom": lambda masks: masks[..., ::-1, :],
    "inverted": lambda masks: ~masks,
}


def prompts_scale_with_the_image(trial: Trial) -> None:
    """An image of twice the size, asked at twice the coordinates, must get the answers of the small one.

    Most answers about the large image must be likest to the small image's answer about the same place, which holds
    with random weights too. That x isn't y and left isn't right only a model that segments can show.
    """
    large = np.repeat(np.repeat(trial.scene.pixels, SCALE, axis=0), SCALE, axis=1)
    embedding = trial.adapter.encode(large)
    for kind in ("box", "point"):
        if kind in trial.prompts:
            small_answer = ask(trial.adapter, trial.embedding, _chain(kind, 1))
            large_answer = ask(trial.adapter, embedding, _chain(kind, SCALE))
            _check_likest(kind, small_answer, large_answer)


def masks_lie_on_their_objects(trial: Trial) -> None:
    """A model that segments must find plain objects where they are, in an image that lies and in one that stands."""
    if trial.adapter.weights.identity == RANDOM:
        raise NotShownError("random weights segment nothing; --weights shows it")
    kind = "box" if "box" in trial.card.prompts else "point"
    for scene, embedding in ((trial.scene, trial.embedding), (trial.other, trial.other_embedding)):
        found = trial.adapter.decode(embedding, scene.prompts(trial.card)[kind]).masks("best")
        if not found.any():
            raise NotShownError("it finds nothing in a drawn scene")
        overlap = _overlap(found, scene.truths)
        if overlap < LEAST_IOU:
            why = _explanation(trial, embedding, scene, kind, found)
            raise WrongError(f"{kind}: masks have an IoU of {overlap:.2f} with the plain objects they ask for{why}")


def _chain(kind: str, scale: float) -> Prompts:
    places = CHAIN * scale
    if kind == "box":
        return Prompts.from_boxes(np.concatenate([0.75 * places, 1.125 * places], axis=1))
    return Prompts.from_points(places[:, None], np.ones((len(places), 1)))


def _check_likest(kind: str, small: Answer, large: Answer) -> None:
    ours, theirs = (_centred(answer) for answer in (small, _subsampled(large)))
    distances = ((theirs[:, None] - ours[None]) ** 2).mean(axis=2)
    own, nearest = np.diagonal(distances), distances.argmin(axis=1)
    astray = np.flatnonzero(own > CLEARLY * distances.min(axis=1) + 1e-9)
    if len(astray) > len(CHAIN) // 2:
        row = astray[0]
        told = f"{kind}: an image of twice the size asked at twice the coordinates is answered as if it had been at"
        raise WrongError(
            f"{told} {_place(nearest[row])} and not at {_place(row)}: prompts are in the image's own pixels"
        )


def _place(index: np.integer | int) -> str:
    return "{:g},{:g}".format(*CHAIN[index])


def _subsampled(answer: Answer) -> Answer:
    return Answer(answer.scores, answer.masks[..., ::SCALE, ::SCALE], answer.logits)


def _centred(answer: Answer) -> NDArray[np.float64]:
    """Return the features less what all prompts have in common."""
    features = answer.features()
    features -= features.mean(axis=0)
    return features


def _overlap(masks: NDArray[np.bool_], truths: NDArray[np.bool_]) -> float:
    common, either = (masks & truths).sum(axis=(1, 2)), (masks | truths).sum(axis=(1, 2))
    return float(np.mean(common / either))


def _explanation(trial: Trial, embedding: object, scene: Scene, kind: str, masks: NDArray[np.bool_]) -> str:
    """Return what would make the masks right, after a semicolon; nothing if it isn't known."""
    for told, moved in MISPLACED.items():
        if _overlap(moved(masks), scene.truths) >= LEAST_IOU:
            return f"; they would be right {told}"
    corners = scene.boxes.reshape(-1, 2, 2) if kind == "box" else scene.points[:, None]
    for told, misread in MISREAD.items():
        places = misread(corners, scene)
        with suppress(Exception):
            if kind == "box":
                prompts = Prompts.from_boxes(np.concatenate([places.min(axis=1), places.max(axis=1)], axis=1))
            else:
                prompts = Prompts.from_points(places, np.ones((len(places), 1)))
            again = trial.adapter._decode(embedding, prompts).masks("best")  # type: ignore[arg-type]
            if _overlap(again, scene.truths) >= LEAST_IOU:
                return f"; it seems to read coordinates {told}"
    return ""
