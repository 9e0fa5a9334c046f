"""Effects and verdicts on noise of a known kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from bench.holm import holm
from bench.latency.compare_rule import ALPHA, LEAST_SAMPLES, MOST_SAMPLES, more_samples, verdict
from bench.latency.effect import correlation_time, effect, relative
from tests.bench.latency.records import SAMPLES, noise


def test_of_independent_samples_it_is_manns_and_whitneys_test():
    rng = np.random.default_rng(0)
    base, new = noise(rng, 0, 40), noise(rng, 0, 31)
    while correlation_time(base) > 1 or correlation_time(new) > 1:
        base, new = noise(rng, 0, 40), noise(rng, 0, 31)
    found = effect(base, new)
    assert found.p == pytest.approx(mannwhitneyu(new, base, method="asymptotic", use_continuity=False).pvalue)
    ratios = np.divide.outer(new, base)
    assert found.ratio == pytest.approx(np.median(ratios), rel=1e-4)
    for limit in (found.low, found.high):  # just not excluded by the test at 5 %
        at_limit = mannwhitneyu(new / limit, base, method="asymptotic", use_continuity=False).pvalue
        assert at_limit == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_intervals_hold_the_truth_for_correlated_samples_too(correlation):
    rng = np.random.default_rng(2)
    found = [effect(noise(rng, correlation, 200), 1.05 * noise(rng, correlation, 200)) for _ in range(300)]
    assert np.mean([one.low <= 1.05 <= one.high for one in found]) >= 0.91
    short = [effect(noise(rng, correlation), noise(rng, correlation)) for _ in range(500)]
    assert np.mean([one.p < ALPHA for one in short]) <= (0.03 if correlation < 0.8 else 0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_correlation_time_is_that_of_the_process(correlation):
    rng = np.random.default_rng(3)
    times = [correlation_time(noise(rng, correlation, 2000)) for _ in range(20)]
    assert np.median(times) == pytest.approx((1 + correlation) / (1 - correlation), rel=0.2)
    assert correlation_time(np.full(10, 3.0)) == 1


def test_long_series_are_compared_by_their_quantiles():
    rng = np.random.default_rng(4)
    base, new = noise(rng, 0, 3000), noise(rng, 0, 2500) * 1.02
    assert effect(base, new).ratio == pytest.approx(np.median(np.divide.outer(new, base)), rel=1e-4)


def test_inputs_are_compared_with_themselves():
    rng = np.random.default_rng(5)
    inputs = np.arange(SAMPLES) % 6
    cost = np.array([1.0, 1.3, 0.6, 2.0, 0.9, 1.6])[inputs]
    base, new = cost * noise(rng, 0, spread=0.01), 1.05 * cost * noise(rng, 0, spread=0.01)
    blind, seeing = effect(base, new), effect(base, new, inputs, inputs)
    assert verdict(blind, blind.p) == "can't tell"
    assert verdict(seeing, seeing.p) == "slower"
    assert seeing.ratio == pytest.approx(1.05, rel=0.01)
    shifted = effect(np.roll(base, 2), new, np.roll(inputs, 2), inputs)
    assert shifted.ratio == pytest.approx(1.05, rel=0.01)


def test_inputs_seen_once_each_still_give_honest_intervals():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        cost = rng.uniform(0.5, 2, 24)
        found.append(effect(cost * noise(rng, 0, 24), cost * noise(rng, 0, 24), np.arange(24), np.arange(24)))
    assert np.mean([one.low <= 1 <= one.high for one in found]) >= 0.93
    assert np.mean([one.p < ALPHA for one in found]) <= 0.02


def test_inputs_that_arent_shared_are_no_help():
    rng = np.random.default_rng(7)
    base, new = noise(rng, 0), noise(rng, 0)
    assert effect(base, new, np.zeros(SAMPLES), np.ones(SAMPLES)) == effect(base, new)


def test_holms_correction():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_below_the_minimum_is_the_same_however_sure():
    rng = np.random.default_rng(8)
    found = effect(noise(rng, 0, spread=0.001), 1.02 * noise(rng, 0, spread=0.001))
    assert found.p < 1e-6
    assert verdict(found, found.p) == "same"
    assert verdict(found, found.p, minimum=0.01) == "slower"


def test_few_samples_tell_nothing():
    found = effect([0.01] * (LEAST_SAMPLES - 1), [0.02] * SAMPLES)
    assert verdict(found, found.p) == "can't tell"
    assert more_samples(found, found.p) >= 1
    single = effect([0.01], [0.02])
    assert LEAST_SAMPLES - 1 <= more_samples(single, single.p) <= MOST_SAMPLES


@pytest.mark.parametrize("factor", [1.0, 1.05, 1.3])
def test_with_as_many_more_samples_it_can_mostly_be_told(factor):
    rng = np.random.default_rng(9)
    before, told = 0, []
    for _ in range(100):
        first = effect(noise(rng, 0, 20, 0.2), factor * noise(rng, 0, 20, 0.2))
        if verdict(first, first.p) == "can't tell" and (more := more_samples(first, first.p)) < 2000:
            again = effect(noise(rng, 0, 20 + more, 0.2), factor * noise(rng, 0, 20 + more, 0.2))
            told.append(verdict(again, again.p) != "can't tell")
            before += 1
    assert before > 5
    assert np.mean(told) >= 0.7


def test_a_ratio_to_a_reference_is_as_unsure_as_both():
    rng = np.random.default_rng(10)
    own = effect(noise(rng, 0), 2.1 * noise(rng, 0))
    reference = effect(noise(rng, 0), 2 * noise(rng, 0))
    found = relative(own, reference)
    assert found.ratio == pytest.approx(own.ratio / reference.ratio)
    assert found.error == pytest.approx(np.hypot(own.error, reference.error))
    assert found.low < found.ratio < found.high
