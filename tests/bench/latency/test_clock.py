"""The CUDA clock, on a device that is made up: a queue with a time of its own."""

from __future__ import annotations

import time

import pytest

from adapters.stages import stage
from bench.latency.clock import CudaClock


class Device:
    """Work takes device time when it is queued; waiting takes host time."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, 0

    def work(self, seconds: float) -> None:
        self.now += seconds

    def record(self) -> float:
        return self.now

    def wait(self) -> None:
        self.waits += 1

    def seconds(self, start: float, end: float) -> float:
        return end - start


class Model:
    """Marks stages as adapters do."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def wait(self) -> None:
        self.device.wait()

    def run(self) -> str:
        with stage("preprocess", wait=self.wait):
            time.sleep(0.01)
            self.device.work(1)
        with stage("encode", wait=self.wait):
            self.device.work(5)
            with stage("inner", wait=self.wait):
                self.device.work(2)
        self.device.work(0.5)
        return "masks"


@pytest.fixture
def device():
    return Device()


def test_stages_are_timed_by_the_device(device):
    model = Model(device)
    timing = CudaClock(model, device).time(model.run, marked=True)
    assert timing.marks == {"preprocess": 1, "encode": 7, "inner": 2}
    assert timing.whole == 8.5
    assert timing.result == "masks"


def test_a_stage_that_doesnt_wait_is_timed_by_the_host(device):
    model = Model(device)

    def run() -> None:
        model.run()
        with stage("postprocess"):
            time.sleep(0.01)

    timing = CudaClock(model, device).time(run, marked=True)
    assert timing.marks["encode"] == 7
    assert timing.marks["postprocess"] >= 0.01


def test_a_models_own_stages(device, sleeper, inputs):
    model = sleeper()
    timing = CudaClock(model, device).time(lambda: model.encode(inputs.image(0)), marked=True)
    assert timing.marks == {"preprocess": 0, "encode": 0}  # nothing was queued
    assert timing.host_marks["preprocess"] == pytest.approx(model.slept["preprocess"][0], abs=0.001)
    assert timing.host_marks["encode"] == pytest.approx(model.slept["encode"][0], abs=0.001)


def test_one_synchronisation_for_a_call(device):
    model = Model(device)
    CudaClock(model, device).time(model.run, marked=True)
    assert device.waits == 2  # the device is idle when the clock starts, and when it stops


def test_the_hosts_clock_stands_beside_it(device):
    model = Model(device)
    timing = CudaClock(model, device).time(model.run, marked=True)
    assert timing.host_whole >= timing.host_marks["preprocess"] >= 0.01
    unmarked = CudaClock(model, device).time(model.run, marked=False)
    assert (unmarked.marks, unmarked.of(None)) == ({}, 8.5)
    assert unmarked.host_of(None) > 0


def test_waiting_is_the_models_own_again(device):
    model = Model(device)
    CudaClock(model, device).time(model.run, marked=True)
    model.wait()
    assert device.waits == 3
