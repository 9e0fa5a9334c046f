"""Whether a model's times are what they seem: an A/A run, the same masks as ever, no hidden cache."""

from __future__ import annotations

from math import sqrt
from statistics import median
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from adapters.adapter import Adapter
from bench.latency import stages
from bench.latency.clock import Clock, clock_for
from bench.latency.digest import FIRST, Digest
from bench.latency.doctor_machine import Found
from bench.latency.effect import effect
from bench.latency.inputs import Inputs
from bench.latency.measure import no_collecting, warm_up
from bench.latency.tasks import Bench, task

POOL, LEAST_PAIRS = 6, 5
POWER, LEVEL = 0.9, 0.95
USUAL_SAMPLES, WORTH_SEEING = 50, 0.05
FASTER = 0.9
"""An image that is repeated may take this share of the time of distinct ones."""

ROUNDS, RUN = 3, 3
"""Of the search for a cache: so many rounds of so many distinct images and as many repeats of one."""


def a_a(adapter: Adapter, inputs: Inputs, seconds: float) -> Found:
    """Return what a comparison of one and the same thing says, decoding one point, A B B A, for some seconds."""
    first, second = _halves(adapter, inputs, seconds)
    found = effect(first, second)
    visible = np.expm1(float(ndtri((1 + LEVEL) / 2) + ndtri(POWER)) * found.error * sqrt(len(first) / USUAL_SAMPLES))
    told = (
        f"{2 * len(first)} decodes of {median(first) * 1e3:.3g} ms in two halves differ by {found.ratio - 1:+.2%}"
        f" ({found.low - 1:+.2%} to {found.high - 1:+.2%}); with {USUAL_SAMPLES} samples a change of"
        f" {visible:.1%} would be seen 9 times in 10"
    )
    fit = found.low <= 1 <= found.high and visible <= WORTH_SEEING
    return ("good" if fit else "mind"), "A/A", told


def same_masks(adapter: Adapter, other: Adapter, inputs: Inputs) -> Found:
    """Return whether timed calls give the masks that ordinary calls to another instance of the model give."""
    ordinary, timed, clock = Digest(), Digest(), clock_for(adapter)
    bench, count = Bench(adapter, inputs, POOL), min(FIRST, len(inputs))
    for index in range(count):
        embedding = other.encode(inputs.image(index))
        ordinary.add(index, other.decode(embedding, inputs.points(index, 1)).masks("best"))
    for marked in (False, True):
        for index in range(count):
            _time(clock, bench, index, timed, marked)
        if str(timed) != str(ordinary):
            return "wrong", "masks", f"the timed run gives other masks ({timed}) than an ordinary one ({ordinary})"
    return "good", "masks", f"the timed run gives the masks of an ordinary one ({ordinary})"


def no_hidden_cache(adapter: Adapter, inputs: Inputs) -> Found:
    """Return whether an image that is repeated is answered faster than images never seen before.

    The new images are the repeated one with a pixel changed, so that they cost as much.
    """
    image, clock = inputs.image(0), clock_for(adapter)
    distinct: list[float] = []
    repeated: list[float] = []
    with no_collecting():
        for number in range(ROUNDS * RUN):
            distinct.append(_encode(clock, adapter, _changed(image, number)))
            if number % RUN == RUN - 1:
                repeated += [_encode(clock, adapter, image) for _ in range(RUN)]
    # Load falls on one or the other by chance: a cache shows in the fastest calls and in the middle ones.
    share = max(median(repeated) / median(distinct), min(repeated) / min(distinct))
    told = f"an image that is repeated takes {share:.0%} of the time of distinct ones"
    if share < FASTER:
        return "wrong", "cache", f"{told}: something is kept between calls"
    return "good", "cache", told


def _halves(adapter: Adapter, inputs: Inputs, seconds: float) -> tuple[list[float], list[float]]:
    asked = stages.stage(stages.POINT)
    timed, clock = task(Bench(adapter, inputs, POOL), [asked]), clock_for(adapter)

    def once(number: int) -> float:
        given = timed.prepare(number)
        return clock.time(lambda: timed.call(given), marked=True).of("decode")

    halves: tuple[list[float], list[float]] = ([], [])
    with no_collecting():
        warm_up(lambda: once(0), seconds / 4)
        until, pair = monotonic() + seconds, 0
        while monotonic() < until or pair < LEAST_PAIRS:
            for half in (0, 1) if pair % 2 == 0 else (1, 0):
                halves[half].append(once(pair))
            pair += 1
    return halves


def _time(clock: Clock, bench: Bench, index: int, digest: Digest, marked: bool) -> None:
    digest.add(index, clock.time(lambda: bench.segment(index), marked).result)


def _encode(clock: Clock, adapter: Adapter, image: NDArray[np.uint8]) -> float:
    return clock.time(lambda: adapter.encode(image), marked=False).whole


def _changed(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    changed = image.copy()
    changed[0, number % image.shape[1]] ^= 1 + number // image.shape[1]
    return changed
