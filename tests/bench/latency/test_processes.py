"""Several processes a condition: how they share the samples, and what their spread does to verdicts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.holm import holm
from bench.latency.between_processes import SPREAD, Processes, beyond_processes, processes_of
from bench.latency.compare import compare
from bench.latency.compare_rule import MOST_SAMPLES, more_samples, verdict
from bench.latency.effect import effect
from bench.latency.interleave import ROUNDS
from tests.bench.latency.records import record, row
from tests.conftest import read_json

PAIRS, ROWS, EACH = 200, 4, 9


def series(rng, processes, factor=1.0, spread=SPREAD, noise=0.01):
    """Return samples of several processes that are apart by chance, and how many each took."""
    levels = np.repeat(rng.normal(0, spread, processes), EACH)
    return factor * 0.02 * np.exp(levels + rng.normal(0, noise, len(levels))), [EACH] * processes


def told(rng, processes, factor=1.0, rounds=False):
    """Return the verdicts of a pair of files of several rows."""
    found = []
    for _ in range(ROWS):
        (base, counts), (new, _) = series(rng, processes), series(rng, processes, factor)
        sides = Processes(processes_of(base, counts), processes_of(new, counts), rounds)
        found.append(beyond_processes(effect(base, new), sides))
    corrected = holm([one.p for one in found])
    return {verdict(one, p) for one, p in zip(found, corrected, strict=True)}


@pytest.mark.parametrize("processes", [1, 3, 6])
def test_processes_of_one_code_are_seldom_called_different(processes):
    rng = np.random.default_rng(processes)
    different = sum(bool(told(rng, processes) & {"slower", "faster"}) for _ in range(PAIRS))
    assert different <= 0.02 * PAIRS


def test_five_percent_are_found_in_turn():
    rng = np.random.default_rng(0)
    found = [effect_in_turn(rng, 1.05) for _ in range(PAIRS)]
    assert Counter(verdict(one, one.p) for one in found)["slower"] >= 0.95 * PAIRS


def effect_in_turn(rng, factor):
    """Return the effect in rounds that are as far apart as a fifth."""
    drift = np.repeat(rng.normal(0, 0.2, ROUNDS), 2 * EACH)
    (base, counts), (new, _) = series(rng, 2 * ROUNDS), series(rng, 2 * ROUNDS, factor)
    base, new = base * np.exp(drift), new * np.exp(drift)
    sides = Processes(processes_of(base, counts), processes_of(new, counts), rounds=True)
    rounds = np.repeat(np.arange(ROUNDS), 2 * EACH)
    return beyond_processes(effect(base, new, rounds, rounds), sides)


def leaping(rng, factor, order="bnnb" * ROUNDS):
    """Return the effect where the machine leaps between two speeds, which its pulse shows, but not in full."""
    level = np.where(rng.random() < 0.5, 0.2, 0.0) * np.ones(len(order))
    for place in range(1, len(order)):
        level[place] = 0.2 - level[place - 1] if rng.random() < 0.15 else level[place - 1]
    code = np.array([factor if side == "n" else 1.0 for side in order])
    samples = [
        one * 0.02 * np.exp(own + rng.normal(0, SPREAD) + rng.normal(0, 0.01, EACH))
        for one, own in zip(code, level, strict=True)
    ]
    pulses = level / 1.2 + rng.normal(0, 0.02, len(order))
    sides = [[number for number, side in enumerate(order) if side == own] for own in "bn"]
    base, new = (np.concatenate([samples[number] for number in own]) for own in sides)
    counts = [EACH] * (len(order) // 2)
    found = Processes(
        processes_of(base, counts),
        processes_of(new, counts),
        rounds=True,
        pulses=(pulses[sides[0]].tolist(), pulses[sides[1]].tolist()),
    )
    return beyond_processes(effect(base, new), found)


def test_a_machine_that_leaps_hides_five_percent_from_nobody_who_measures_in_turn():
    rng = np.random.default_rng(3)
    found = [leaping(rng, 1.05) for _ in range(PAIRS)]
    assert Counter(verdict(one, one.p) for one in found)["slower"] >= 0.95 * PAIRS


def test_a_machine_that_leaps_alarms_nobody():
    rng = np.random.default_rng(4)
    found = Counter(verdict(one, one.p) for one in (leaping(rng, 1.0) for _ in range(PAIRS)))
    assert found["slower"] + found["faster"] <= 0.01 * PAIRS


def test_a_machine_in_another_state_for_each_side_tells_nothing():
    levels = [[0.0] * 4, [0.3] * 4]
    pulses = [[0.0, 0.01, 0.0, 0.02], [0.2, 0.21, 0.22, 0.2]]
    base, new = (0.02 * np.exp(np.repeat(own, EACH)) for own in levels)
    found = beyond_processes(effect(base, new), Processes(*levels, rounds=True, pulses=tuple(pulses)))
    assert (found.ratio, found.low, found.high) == (1.0, 0.0, np.inf)
    assert verdict(found, found.p) == "can't tell"
    assert more_samples(found, found.p) == MOST_SAMPLES


def test_one_process_in_a_spell_of_load_alarms_nobody():
    rng = np.random.default_rng(1)
    (base, counts), (new, _) = series(rng, 3), series(rng, 3)
    new[:EACH] *= 1.35
    sides = Processes(processes_of(base, counts), processes_of(new, counts))
    found = beyond_processes(effect(base, new), sides)
    assert verdict(found, found.p) == "can't tell"


def test_against_the_textbook():
    """With many processes the moderated test is nearly Student's."""
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(2)
    (base, counts), (new, _) = series(rng, 200, spread=0.05), series(rng, 200, 1.01, spread=0.05)
    base_levels, new_levels = processes_of(base, counts), processes_of(new, counts)
    found = effect(base, new)
    ours = beyond_processes(found, Processes(base_levels, new_levels))
    student = ttest_ind(new_levels, base_levels)
    theirs = student.confidence_interval(0.95)
    assert np.log(ours.high) - np.log(ours.low) == pytest.approx(theirs.high - theirs.low, rel=0.05)


def test_the_comparison_says_what_hinders_it():
    base, new = row(processes=[50]), row(seed=1, factor=1.06, processes=[50])
    (found,) = compare(record(base), record(new)).rows
    assert (found.verdict, found.hindered_by, found.more) == ("can't tell", "processes", None)
    (found,) = compare(record(base), record(row(seed=1, factor=1.2, processes=[50]))).rows
    assert (found.verdict, found.hindered_by) == ("slower", None)


@pytest.mark.parametrize(("samples", "shares"), [(16, [6, 6, 6]), (10, [5, 5]), (5, [5]), (3, [3])])
def test_processes_share_the_samples(sambench, image_folder, tmp_path, samples, shares):
    out = tmp_path / "latency.json"
    asked = ("latency", "--models", "sleeping", "--data", image_folder, "--stages", "decode_box8", "--device", "cpu")
    done = sambench(*asked, "--samples", samples, "--processes", 3, "--out", out)
    assert done.returncode == 0, done.stderr
    (found,) = read_json(out)["rows"]
    assert found["processes"] == shares
    assert len(found["samples"]) == sum(shares)


def test_what_takes_long_is_measured_in_one_process(sambench, image_folder, tmp_path):
    out = tmp_path / "latency.json"
    asked = ("latency", "--models", "sleeping", "--data", image_folder, "--stages", "encode", "--device", "cpu")
    done = sambench(*asked, "--samples", 18, "--seconds", 0.3, "--processes", 3, "--out", out)
    assert done.returncode == 0, done.stderr
    (found,) = read_json(out)["rows"]
    assert found["processes"] == [5]
