"""The machine's pulse: taken between samples, and what it changes about a verdict."""

from __future__ import annotations

from math import log

import pytest

from bench.cli.compare import print_comparison
from bench.latency.clock import HostClock
from bench.latency.compare import compare
from bench.latency.measure import Amount, measure
from bench.latency.pulse import BURST, INTERVAL, Pulse, beat_on
from bench.latency.stages import stage
from bench.latency.tasks import Bench, task
from tests.bench.latency.records import record, row

BEATS = 40


def compared(factor, drift, minimum=0.03):
    """Return what is said of a stage and of a pulse that changed by known factors."""
    beats = [0.004 * (1 + 0.001 * (number % 7)) for number in range(BEATS)]
    base = record(row(pulses=beats))
    new = record(row(seed=1, factor=factor, pulses=[drift * seconds for seconds in beats]))
    (found,) = compare(base, new, minimum).rows
    return found


@pytest.mark.parametrize(
    ("factor", "drift", "told"),
    [
        (1.2, 1.0, "slower"),
        (1.2, 1.02, "slower"),
        (1.2, 1.19, "can't tell"),
        (1.24, 1.15, "can't tell"),
        (1.2, 0.9, "slower"),
        (1 / 1.2, 1.0, "faster"),
        (1 / 1.2, 1 / 1.2, "can't tell"),
        (1 / 1.2, 1.1, "faster"),
        (1.0, 1.0, "same"),
    ],
)
def test_a_change_that_the_machine_explains_is_not_told_from_it(factor, drift, told):
    found = compared(factor, drift)
    assert found.verdict == told
    assert found.drift == pytest.approx(log(drift))


def test_files_without_a_pulse_are_compared_as_they_are():
    (found,) = compare(record(row()), record(row(seed=1, factor=1.2))).rows
    assert (found.verdict, found.drift) == ("slower", 0.0)


def test_more_samples_are_not_asked_for_where_the_machine_changed(capsys):
    found = compared(1.2, 1.19)
    assert found.more is None
    beats = [0.004] * BEATS
    print_comparison(compare(record(row(pulses=beats)), record(row(seed=1, factor=1.2, pulses=[0.0048] * BEATS))))
    assert "the machine itself was 20 % slower" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_it_beats_before_after_and_between_samples(sleeper, inputs):
    bench, encode = Bench(sleeper(), inputs, pool=4), stage("encode")
    found = measure(task(bench, [encode]), HostClock(), Amount(6, 100.0), beat=beat_on("cpu"))[encode]
    bursts = len(found.pulses) / BURST
    assert 2 + sum(found.samples) // (INTERVAL + max(found.samples)) <= bursts <= 1 + len(found.samples)
    assert all(0 < seconds < 1 for seconds in found.pulses)


def test_without_a_beat_there_is_no_pulse():
    pulse = Pulse(None)
    pulse.when_due()
    pulse.burst()
    assert pulse.seconds == []
