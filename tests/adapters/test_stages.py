"""Stages are heard by whoever listens, and by nobody else."""

import time

from adapters.stages import listening, stage, unheard


def test_a_stage_is_timed_within_the_block_that_listens():
    heard = []
    with stage("encode"):
        pass
    with listening(lambda *event: heard.append(event)), stage("decode", prompts=3):
        time.sleep(0.02)
    with stage("encode"):
        pass
    [(name, prompts, seconds)] = heard
    assert (name, prompts) == ("decode", 3)
    assert 0.02 <= seconds < 0.2


def test_the_device_is_waited_for_before_both_readings():
    waits, heard = [], []
    with listening(lambda *event: heard.append(event)), stage("encode", wait=lambda: waits.append(len(heard))):
        pass
    assert waits == [0, 0]
    with stage("encode", wait=lambda: waits.append("unheard")):
        pass
    assert "unheard" not in waits


def test_what_is_within_may_belong_to_the_stage_around_it():
    heard = []
    with listening(lambda *event: heard.append(event[0])):
        with stage("everything"), unheard(), stage("decode"):
            pass
        with stage("encode"):
            pass
    assert heard == ["everything", "encode"]
