"""Times of known things: the sleeping model's, made-up clocks', made-up series."""

from __future__ import annotations

import gc
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

from bench.latency import stages
from bench.latency.clock import HostClock
from bench.latency.condition import measured_rows
from bench.latency.measure import LEAST_SAMPLES, LEAST_WARMUPS, MOST_WARMUPS, Amount, measure, settled, warm_up
from bench.latency.stages import ADDENDS, stage
from bench.latency.summary import median_interval, summary
from bench.latency.tasks import Bench, Task, task, together

AMOUNT = Amount(samples=6, seconds=0.01)
CLOSE_S, CLOSE = 0.0002, 0.01


def measured(adapter, inputs, names, amount=AMOUNT):
    bench, found = Bench(adapter, inputs, pool=4), {}
    for group in together([stage(name) for name in names]):
        found |= measure(task(bench, group), HostClock(), amount)
    return {own.name: result for own, result in found.items()}


@pytest.mark.parametrize(
    ("name", "slept"),
    [("preprocess", "preprocess"), ("encode", "encode"), ("decode_point1", "decode"), ("decode_box8", "decode"),
     ("postprocess_size", "postprocess"), ("everything_16", "everything")],
)  # fmt: skip
def test_a_stage_takes_what_it_slept(sleeper, inputs, name, slept):
    adapter = sleeper()
    samples = measured(adapter, inputs, [name])[name].samples
    own = adapter.slept[slept][-len(samples) :]
    over = [taken - known for taken, known in zip(samples, own, strict=True)]
    assert min(over) >= 0
    assert median(over) <= max(CLOSE_S, CLOSE * median(own))


def test_stages_add_up_to_end_to_end(sleeper, inputs):
    adapter = sleeper()
    found = measured(adapter, inputs, [*ADDENDS, stages.END_TO_END])
    # The fastest of each: what else runs on the machine only ever adds to a time.
    parts = sum(min(found[name].samples) for name in ADDENDS)
    assert min(found[stages.END_TO_END].samples) == pytest.approx(parts, rel=0.03)


def test_preprocessing_and_encoding_come_from_the_same_calls(sleeper, inputs):
    adapter = sleeper()
    found = measured(adapter, inputs, ["preprocess", "encode"])
    taken = len(found["encode"].samples)
    assert taken == len(found["preprocess"].samples) == LEAST_SAMPLES
    assert adapter.encoded == 1 + found["encode"].warmups + taken


def test_images_come_in_turn_and_embeddings_are_fresh(sleeper, inputs, monkeypatch):
    adapter, seen, given = sleeper(), [], []
    encode, decode = adapter._encode, adapter._decode
    monkeypatch.setattr(adapter, "_encode", lambda image: (seen.append(image.tobytes()), encode(image))[1])
    monkeypatch.setattr(adapter, "_decode", lambda own, prompts: (given.append(own), decode(own, prompts))[1])
    measured(adapter, inputs, ["encode", "decode_point1"], Amount(samples=8, seconds=0.01))
    assert len(set(seen)) == len(inputs)
    assert all(first != second for first, second in pairwise(seen))
    assert len({id(own) for own in given}) == len(given)


def test_warm_up_ends_once_times_are_steady():
    falling = iter([9.0, 8, 7, 6, 5, 4, 3, 2, 1] + [1.0] * 50)
    times, steady = warm_up(lambda: next(falling), seconds=1e9)
    assert steady
    assert settled(times)
    assert not settled(times[:-1])


def test_warm_up_that_never_becomes_steady_ends_and_says_so():
    growing = iter(1.1**power for power in range(1000))
    times, steady = warm_up(lambda: next(growing), seconds=1e9)
    assert (len(times), steady) == (MOST_WARMUPS, False)


def test_warm_up_of_what_takes_long_is_cut_short():
    times, steady = warm_up(lambda: 100.0, seconds=60)
    assert (len(times), steady) == (LEAST_WARMUPS, False)


def test_long_stages_are_content_with_few_samples(sleeper, inputs):
    assert len(measured(sleeper(), inputs, ["encode"], Amount(50, 0.01))["encode"].samples) == LEAST_SAMPLES
    assert len(measured(sleeper(), inputs, ["encode"], Amount(2, 0.01))["encode"].samples) == 2


def test_the_first_call_is_kept_apart():
    durations = iter([5.0, *[1.0] * 100])

    class Fixed:
        def time(self, call, marked):
            from bench.latency.clock import Timing

            return Timing(next(durations), {})

    own = stage("load")
    found = measure(Task({own: None}, lambda number: None, lambda given: None), Fixed(), Amount(7, 1e9))[own]
    assert (found.first, found.samples, found.settled) == (5.0, [1.0] * 7, True)


def test_the_garbage_collector_waits(sleeper, inputs, monkeypatch):
    adapter, states = sleeper(), []
    monkeypatch.setattr(adapter, "sleep", lambda name, seconds=None: states.append(gc.isenabled()))
    measured(adapter, inputs, ["decode_point1"])
    assert not any(states[-5:])
    assert gc.isenabled()


def test_what_is_said_of_samples():
    samples = list(range(1, 102))
    told = summary(samples)
    assert (told["median"], told["p90"], told["p99"]) == (51, 91, 100)
    assert told["low"] < 51 < told["high"]


def test_the_medians_interval_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = median_interval(rng.lognormal(0, 0.3, 40))
        covered += low <= 1.0 <= high
    assert 0.9 <= covered / 200 <= 0.99


@pytest.mark.usefixtures("sleepers")
def test_rows_of_a_condition(spec):
    names = ("load", "preprocess", "encode", "decode_box1", "postprocess_size", "postprocess_rle", "end_to_end")
    rows = {row.stage: row for row in measured_rows(spec(stages=names))}
    assert set(rows) == set(names)
    assert all(row.status == "measured" and len(row.samples) == 3 for row in rows.values())
    assert all(row.peak_rss_mb > 0 and row.peak_cuda_mb is None for row in rows.values())
    assert rows["end_to_end"].masks_digest
    assert rows["end_to_end"].output_check is None
    assert rows["encode"].median == pytest.approx(0.1, rel=0.2)


@pytest.mark.usefixtures("sleepers")
def test_one_stage_that_fails_leaves_the_others(spec):
    rows = list(measured_rows(spec(model="raising", stages=("decode_box1", "decode_box8", "decode_box64"))))
    assert [row.status for row in rows] == ["measured", "failed", "measured"]
    assert rows[1].reason == "RuntimeError: out of memory"
    assert not rows[1].samples
