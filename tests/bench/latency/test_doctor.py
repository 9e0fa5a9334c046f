"""The doctor: cheating models are found out, honest ones aren't, and a made-up machine is read rightly."""

from __future__ import annotations

import os

import pytest

from bench.latency import doctor_machine, environment
from bench.latency.doctor_machine import Watch
from bench.latency.doctor_model import a_a, no_hidden_cache, same_masks
from tests.bench.latency import sleeping


def test_an_honest_model_passes(sleeper, inputs):
    assert same_masks(sleeper(), sleeper(), inputs)[0] == "good"
    assert no_hidden_cache(sleeper(), inputs)[0] == "good"


def test_other_masks_while_timed_are_found_out(sleeper, inputs):
    level, _, line = same_masks(sleeper("fickle"), sleeper("fickle"), inputs)
    assert level == "wrong"
    assert "other masks" in line


def test_a_hidden_cache_is_found_out(sleeper, inputs):
    level, _, line = no_hidden_cache(sleeper("remembering"), inputs)
    assert level == "wrong"
    assert "kept between calls" in line


def test_a_cache_that_forgets_nothing_is_found_out(sleeper, inputs, monkeypatch):
    adapter, known = sleeper(), set()
    monkeypatch.setitem(sleeping.SECONDS, "encode", 0.02)
    sleep = adapter.sleep

    def encode(image):
        sleep("encode", 0.0 if image.tobytes() in known else None)
        known.add(image.tobytes())
        return sleeping.SleepingEmbedding(image.shape[:2], 0.0)

    monkeypatch.setattr(adapter, "_encode", encode)
    for index in range(len(inputs)):
        adapter.encode(inputs.image(index))
    assert no_hidden_cache(adapter, inputs)[0] == "wrong"


def test_one_thing_compared_with_itself(sleeper, inputs, monkeypatch):
    monkeypatch.setitem(sleeping.SECONDS, "encode", 0.0)
    _, what, line = a_a(sleeper(), inputs, seconds=0.5)
    assert what == "A/A"
    assert "in two halves differ by" in line
    assert "with 50 samples a change of" in line


@pytest.fixture
def proc(tmp_path):
    """Return a folder like /proc, and a function that lets a process use ticks and the hypervisor take some."""
    folder, ticks = tmp_path / "proc", {"used": 0, "stolen": 0, "all": 1000}

    def passes(used=0, stolen=0):
        ticks["used"] += used
        ticks["stolen"] += stolen
        ticks["all"] += 1000
        (folder / "77").mkdir(parents=True, exist_ok=True)
        (folder / "77" / "stat").write_text(f"77 (a (b) c) R {'0 ' * 10}{ticks['used']} 0 0\n")
        (folder / "stat").write_text(f"cpu  {ticks['all']} 0 0 0 0 0 0 {ticks['stolen']} 0 0\n")

    passes()
    return folder, passes


def test_other_load_and_stolen_time(proc, monkeypatch):
    folder, passes = proc
    watch = Watch(folder)
    passes(used=2 * os.sysconf("SC_CLK_TCK"), stolen=111)
    monkeypatch.setattr(doctor_machine.time, "monotonic", lambda: watch.began + 4)
    load, stolen = watch.found()
    assert load[0] == stolen[0] == "mind"
    assert "0.50 cores busy (a (b) c 50%" in load[2]
    assert stolen[2].startswith("10.0%")


def test_a_quiet_machine(proc, monkeypatch):
    folder, passes = proc
    watch = Watch(folder)
    passes()
    monkeypatch.setattr(doctor_machine.time, "monotonic", lambda: watch.began + 4)
    assert [level for level, _, _ in watch.found()] == ["good", "good"]


def test_a_system_that_says_nothing(tmp_path):
    assert [level for level, _, _ in Watch(tmp_path / "nothing").found()] == ["unknown", "unknown"]


def test_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(environment, "usable_cores", lambda: 1)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    level, _, line = doctor_machine.threads()
    assert level == "wrong"
    assert "OMP_NUM_THREADS=1" in line


@pytest.mark.parametrize(("found", "level"), [(None, "unknown"), ("performance", "good"), ("powersave", "mind")])
def test_the_governor(monkeypatch, found, level):
    monkeypatch.setattr(environment, "governor", lambda: found)
    assert doctor_machine.governor()[0] == level


@pytest.mark.parametrize(("degrees", "level"), [(None, "unknown"), (50.0, "good"), (95.0, "mind")])
def test_heat(monkeypatch, degrees, level):
    monkeypatch.setattr(environment, "temperature", lambda: degrees)
    assert doctor_machine.heat("cpu")[0] == level


def test_the_command_exits_1_for_a_model_that_cheats(sambench, image_folder):
    done = sambench("doctor", "--model", "remembering", "--seconds", 0.2, "--data", image_folder, "--device", "cpu")
    assert done.returncode == 1
    assert "cache: an image that is repeated takes" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("wrong")]) == 1


def test_the_command_gives_one_line_for_a_mistake(sambench):
    done = sambench("doctor", "--model", "mobile_sma")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'mobile_sam'" in done.stderr
