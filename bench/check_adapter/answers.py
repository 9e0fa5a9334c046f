"""Checks of the answers to prompts: their form, and that each belongs to its prompt alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.adapter import Candidates
from adapters.errors import InputError
from adapters.prompts import BACKGROUND, FOREGROUND, PADDING, Prompts
from bench.check_adapter.answer import Answer, ask, difference, read
from bench.check_adapter.trial import Trial, WrongError

MANY_POINTS = 12
"""A card without max_points must take so many."""

SHUFFLED = [2, 0, 1]


def form(trial: Trial) -> None:
    """Scores and masks must have the agreed shapes and types, and as many masks as the card says."""
    for kind, prompts in trial.prompts.items():
        candidates = trial.adapter.decode(trial.embedding, prompts)
        if not isinstance(candidates, Candidates):
            raise WrongError(f"{kind}: decode returned {type(candidates).__name__}, Candidates needed")
        _check_scores(trial, kind, candidates, len(prompts))
        _check_columns(trial, kind, candidates, len(prompts))
        _check_masks(trial, kind, candidates, len(prompts))


def stability_scores(trial: Trial) -> None:
    """A model with predicted IoUs must give the stability of its logits, which some protocols select by."""
    if trial.card.score != "predicted_iou" or trial.card.masks == 1:
        return
    for kind, prompts in trial.prompts.items():
        candidates = trial.adapter.decode(trial.embedding, prompts)
        stability = candidates.stability()
        if stability.shape != candidates.scores.shape:
            raise WrongError(f"{kind}: stability() has shape {stability.shape}, {candidates.scores.shape} needed")
        if not ((stability >= 0) & (stability <= 1)).all():
            raise WrongError(f"{kind}: stability() leaves 0..1")


def batch_equals_single(trial: Trial) -> None:
    """A prompt's answer mustn't depend on the prompts beside it."""
    for kind, prompts in trial.prompts.items():
        for row in range(len(prompts)):
            alone = ask(trial.adapter, trial.embedding, prompts[row : row + 1])
            _same(trial, alone, trial.answers[kind][row : row + 1], f"{kind}: prompt {row} alone and among others")


def order_is_kept(trial: Trial) -> None:
    """Answers must come in the order of their prompts, and rows of masks in the order asked for."""
    for kind, prompts in trial.prompts.items():
        shuffled = ask(trial.adapter, trial.embedding, _taken(prompts, SHUFFLED))
        _same(trial, shuffled, trial.answers[kind][SHUFFLED], f"{kind}: the same prompts in another order")
        candidates = trial.adapter.decode(trial.embedding, prompts)
        columns = candidates.singles()[SHUFFLED]
        some = candidates.masks(columns, np.array(SHUFFLED))
        if not np.array_equal(some, trial.answers[kind].masks[SHUFFLED, columns]):
            raise WrongError(f"{kind}: masks(columns, rows) aren't in the order of rows")


def same_again(trial: Trial) -> None:
    """The same question must get the same answer: again, after another image, and from another load."""
    first = next(iter(trial.prompts))
    again = ask(trial.adapter, trial.embedding, trial.prompts[first])
    _same(trial, again, trial.answers[first], f"{first}: asked twice")
    trial.adapter.encode(np.ascontiguousarray(trial.scene.pixels[::-1]))
    after = ask(trial.adapter, trial.embedding, trial.prompts[first])
    _same(trial, after, trial.answers[first], f"{first}: asked before and after another image was encoded")
    fresh = trial.load()
    loaded = ask(fresh, fresh.encode(trial.scene.pixels.copy()), trial.prompts[first])
    _same(trial, loaded, trial.answers[first], f"{first}: loaded twice")


def inputs_are_not_written_to(trial: Trial) -> None:
    """Prompts mustn't change; nor the image, which is looked at whenever one is encoded."""
    for kind, prompts in trial.prompts.items():
        before = [part.copy() for part in _parts(prompts)]
        trial.adapter.decode(trial.embedding, prompts).masks("best")
        if not all(np.array_equal(*pair) for pair in zip(before, _parts(prompts), strict=True)):
            raise WrongError(f"{kind}: decode writes to its prompts")


def prompts_matter(trial: Trial) -> None:
    """Each declared kind of prompt must make a difference, not only be let through."""
    for kind in ("box", "point"):
        if kind in trial.answers and _alike(trial.answers[kind][[0, 0]], trial.answers[kind][[1, 2]]):
            raise WrongError(f"{kind}: three prompts in three places have the same answer")
    if "negative" in trial.prompts:
        prompts = trial.prompts["negative"]
        assert prompts.points is not None
        positive = Prompts.from_points(prompts.points, np.full(prompts.points.shape[:2], FOREGROUND))
        if _alike(ask(trial.adapter, trial.embedding, positive), trial.answers["negative"]):
            raise WrongError("negative: a click beside the object is answered like one on it")
    if "box_point" in trial.prompts:
        _check_both_parts(trial)
    if "mask" in trial.card.prompts:
        _check_mask_prompts(trial)


def number_of_points(trial: Trial) -> None:
    """As many points as the card says must be taken."""
    if "point" not in trial.card.prompts:
        return
    count = trial.card.max_points or MANY_POINTS
    points = np.linspace((10, 10), (100, 80), count)[None].repeat(2, axis=0)
    answer = ask(trial.adapter, trial.embedding, Prompts.from_points(points, np.ones((2, count))))
    if len(answer.scores) != 2:
        raise WrongError(f"{count} points: {len(answer.scores)} answers to 2 prompts")


def padding_is_ignored(trial: Trial) -> None:
    """A point labelled -1 is padding: where it lies mustn't matter."""
    if "point" not in trial.card.prompts:
        return
    answers: list[Answer] = []
    for place in ((3.0, 5.0), (90.0, 70.0)):
        points = np.concatenate([trial.scene.points[:, None], np.full((3, 1, 2), place)], axis=1)
        prompts = Prompts.from_points(points, np.tile([FOREGROUND, PADDING], (3, 1)))
        answers.append(ask(trial.adapter, trial.embedding, prompts))
    _same(trial, answers[0], answers[1], "point: padding (label -1) here and there")


def _check_scores(trial: Trial, kind: str, candidates: Candidates, count: int) -> None:
    scores, card = candidates.scores, trial.card
    if not isinstance(scores, np.ndarray) or scores.dtype != np.float32:
        raise WrongError(f"{kind}: scores are {getattr(scores, 'dtype', type(scores).__name__)}, numpy float32 needed")
    if scores.shape != (count, card.masks):
        raise WrongError(f"{kind}: scores have shape {scores.shape}, {(count, card.masks)} needed (the card's masks)")
    if np.isinf(scores).any() or (card.score == "predicted_iou" and np.isnan(scores).any()):
        raise WrongError(f"{kind}: a score isn't finite")
    if card.score == "none" and not np.isnan(scores).all():
        raise WrongError(f"{kind}: the card says it makes no scores, but there are some")


def _check_columns(trial: Trial, kind: str, candidates: Candidates, count: int) -> None:
    masks = trial.card.masks
    singles = candidates.singles()
    if singles.shape != (count,):
        raise WrongError(f"{kind}: singles() has shape {singles.shape}, {(count,)} needed")
    for column in singles:
        if not 0 <= column < masks:
            raise WrongError(f"{kind}: single is column {column} of {masks}")
    if not len(range(*candidates.multimask.indices(masks))):
        raise WrongError(f"{kind}: multimask {candidates.multimask} leaves none of {masks} columns to choose among")


def _check_masks(trial: Trial, kind: str, candidates: Candidates, count: int) -> None:
    expected = (count, *trial.scene.pixels.shape[:2])
    for choice in ("best", "single", *range(trial.card.masks)):
        masks = candidates.masks(choice)
        if not isinstance(masks, np.ndarray) or masks.dtype != bool:
            raise WrongError(f"{kind}: masks are {getattr(masks, 'dtype', type(masks).__name__)}, numpy bool needed")
        if masks.shape != expected:
            raise WrongError(f"{kind}: masks have shape {masks.shape}, {expected} needed (prompts, height, width)")


def _check_both_parts(trial: Trial) -> None:
    """A box with a click that says it isn't what lies in the middle must be answered unlike the box alone."""
    prompts = trial.prompts["box_point"]
    assert prompts.boxes is not None
    label = BACKGROUND if "negative" in trial.card.prompts else FOREGROUND
    clicked = Prompts.from_boxes_and_points(prompts.boxes, trial.scene.points[:, None], np.full((3, 1), label))
    if _alike(ask(trial.adapter, trial.embedding, clicked), trial.answers["box"]):
        raise WrongError("box_point: a box with a point is answered like the box alone")


def _check_mask_prompts(trial: Trial) -> None:
    kind = "box" if "box" in trial.prompts else "point"
    prompts = trial.prompts[kind]
    candidates = trial.adapter.decode(trial.embedding, prompts)
    try:
        logits = candidates.chosen_logits(candidates.best())
    except InputError:
        raise WrongError("mask: earlier logits are taken, but chosen_logits() gives none") from None
    again = Prompts(prompts.boxes, prompts.points, prompts.labels, np.roll(logits, 1, axis=0) * 4)
    if _alike(ask(trial.adapter, trial.embedding, again), read(candidates)):
        raise WrongError("mask: earlier logits change nothing")


def _same(trial: Trial, first: Answer, second: Answer, told: str) -> None:
    found = difference(first, second, trial.adapter.dtype)
    if found is not None:
        raise WrongError(f"{told}: {found}")


def _alike(first: Answer, second: Answer) -> bool:
    """Return whether answers are the same but for rounding that no model's weights could hide behind."""
    return np.allclose(first.features(), second.features(), rtol=0, atol=1e-6)


def _taken(prompts: Prompts, rows: list[int]) -> Prompts:
    parts = (prompts.boxes, prompts.points, prompts.labels, prompts.logits)
    return Prompts(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


def _parts(prompts: Prompts) -> Iterator[NDArray[Any]]:
    return (part for part in (prompts.boxes, prompts.points, prompts.labels) if part is not None)
