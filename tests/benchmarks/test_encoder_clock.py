"""The encoder stage's median against torch.utils.benchmark's on the same module, in one process."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest
import torch
from torch.utils.benchmark import Timer

import adapters
from adapters.memory import keep_freed_memory
from bench.latency.clock import HostClock
from bench.latency.inputs import Inputs
from bench.latency.measure import no_collecting

ROUNDS = 12


@pytest.mark.parametrize(("name", "rounds"), [("mobile_sam", ROUNDS), ("sam_vit_b", 5)])
def test_encoder_against_torchs_own_timer(benchmark, name, rounds):
    keep_freed_memory()
    adapter = adapters.load(name, "random")
    rng = np.random.default_rng(0)
    inputs = Inputs([rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(4)])
    timer = Timer(
        "with adapter.computing():\n    adapter.encoder(pixels)",
        globals={"adapter": adapter, "pixels": adapter.frame.prepare(inputs.image(0))},
        num_threads=torch.get_num_threads(),
    )
    clock, own, theirs = HostClock(), [], []

    def once(number: int) -> float:
        return clock.time(lambda: adapter.encode(inputs.image(number)), marked=True).of("encode")

    once(0), timer.timeit(1)
    with no_collecting():
        for number in range(rounds):  # in turn, so that both see the same machine
            own.append(once(number))
            theirs.append(timer.timeit(1).median)
    ratio = median(own) / median(theirs)
    benchmark.extra_info.update(own_s=own, torch_s=theirs, ratio=ratio)
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{name}: {median(own):.4f} s, torch.utils.benchmark {median(theirs):.4f} s, ratio {ratio:.4f}")
    assert ratio == pytest.approx(1, abs=0.03)
