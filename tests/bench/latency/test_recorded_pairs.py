"""Comparisons of real samples with themselves, and with themselves made slower."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.holm import holm
from bench.latency.between_processes import Processes, beyond_processes
from bench.latency.compare_rule import verdict
from bench.latency.effect import effect
from bench.latency.interleave import ROUNDS
from tests.bench.latency.records import SAMPLES
from tests.conftest import read_json

PAIRS = 200
DATA = Path(__file__).parents[1] / "data"
DRAWS = ("adjacent", "apart", "passes", "abba")


@pytest.fixture(scope="module")
def recorded():
    """Return series of real samples by stage, and how many images they went through in turn."""
    content = read_json(DATA / "latency_samples.json")
    return {stage: np.array(seconds) for stage, seconds in content["seconds"].items()}, content["images"]


def drawn(length, images, how, rng):
    """Return the places of two series of SAMPLES each within one, the order kept."""
    if how == "apart":
        half = length // 2
        starts = rng.integers(0, half - SAMPLES + 1), rng.integers(half, length - SAMPLES + 1)
        places = [np.arange(start, start + SAMPLES) for start in starts]
    else:
        start = rng.integers(0, length - 2 * SAMPLES + 1)
        window = np.arange(start, start + 2 * SAMPLES)
        if how == "adjacent":
            first = window < start + SAMPLES
        elif how == "passes":
            first = (window - start) // images % 2 == 0
        else:
            first = np.isin((window - start) // (SAMPLES // 2), (0, 3))
        places = [window[first], window[~first]]
    return places if rng.random() < 0.5 else places[::-1]


def pairs(recorded, stages, draws, images_known, count=PAIRS, seed=0):
    """Yield pairs of series drawn from the stages in turn, and the inputs of both if they are known."""
    series, images = recorded
    rng = np.random.default_rng(seed)
    for number in range(count):
        stage, how = stages[number % len(stages)], draws[number // len(stages) % len(draws)]
        base, new = drawn(len(series[stage]), images, how, rng)
        inputs = (base % images, new % images) if images_known else ()
        yield series[stage][base], series[stage][new], inputs


def verdicts(pairs, factor=1.0):
    found = [effect(base, factor * new, *inputs) for base, new, inputs in pairs]
    return Counter(verdict(one, one.p) for one in found)


QUIET = ("preprocess", "decode_box1", "postprocess_size", "postprocess_rle")


@pytest.mark.parametrize("images_known", [True, False])
@pytest.mark.parametrize("how", DRAWS)
def test_the_same_code_is_called_different_once_in_a_hundred_at_most(recorded, how, images_known):
    found = verdicts(pairs(recorded, QUIET, [how], images_known))
    assert found["slower"] + found["faster"] <= PAIRS / 100


@pytest.mark.parametrize("images_known", [True, False])
@pytest.mark.parametrize("how", DRAWS)
def test_five_percent_are_found(recorded, how, images_known):
    drawn_pairs = list(pairs(recorded, QUIET, [how], images_known))
    assert verdicts(drawn_pairs, 1.05)["slower"] >= 0.95 * PAIRS
    assert verdicts(drawn_pairs, 1 / 1.05)["faster"] >= 0.95 * PAIRS


def test_on_a_machine_that_drifts_both_hold_for_what_was_measured_in_turn(recorded):
    drawn_pairs = list(pairs(recorded, ["encode"], ["passes", "abba"], True))
    found = verdicts(drawn_pairs)
    assert found["slower"] + found["faster"] <= PAIRS / 100
    assert verdicts(drawn_pairs, 1.05)["slower"] >= 0.9 * PAIRS


def test_many_rows_at_once(recorded):
    """All stages of an A/A pair of files, corrected together."""
    series, images = recorded
    rng = np.random.default_rng(1)
    different = 0
    for number in range(PAIRS // 4):
        found = []
        for stage in QUIET:
            base, new = drawn(len(series[stage]), images, DRAWS[number % 4], rng)
            found.append(effect(series[stage][base], series[stage][new], base % images, new % images))
        told = [verdict(one, p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]
        different += "slower" in told or "faster" in told
    assert different <= PAIRS / 100


def in_turn(rng, factor):
    """Return the effect in recorded rounds of one code, where chance says which processes are slower by a factor."""
    content = read_json(DATA / "latency_processes.json")["rounds"]
    start = rng.integers(len(content) - ROUNDS + 1)
    sides = ([], []), ([], [])
    for one in content[start : start + ROUNDS]:
        seconds = np.array(one["medians_ms"]) / [1, 1.05, 1.05, 1]
        for place, side in enumerate(rng.permutation([0, 0, 1, 1])):
            sides[side][0].append(np.log(seconds[place] * (factor if side else 1.0)))
            sides[side][1].append(np.log(one["pulses_ms"][place]))
    (base, base_pulses), (new, new_pulses) = sides
    found = effect(np.exp(np.repeat(base, 9)), np.exp(np.repeat(new, 9)))
    return beyond_processes(found, Processes(base, new, rounds=True, pulses=(base_pulses, new_pulses)))


def test_recorded_processes_of_one_code_are_seldom_called_different():
    rng = np.random.default_rng(2)
    found = Counter(verdict(one, one.p) for one in (in_turn(rng, 1.0) for _ in range(PAIRS)))
    assert found["slower"] + found["faster"] <= PAIRS / 100


def test_recorded_processes_of_code_slower_by_a_twentieth_are_found():
    rng = np.random.default_rng(3)
    found = Counter(verdict(one, one.p) for one in (in_turn(rng, 1.05) for _ in range(PAIRS)))
    assert found["slower"] >= 0.95 * PAIRS
