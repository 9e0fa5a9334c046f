"""A model leaves memory when its turn is over, and the record says how much each one took."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from adapters.adapter import Adapter
from adapters.checkpoints import Weights
from adapters.memory import give_back_freed_memory
from bench.conditions import prepare
from bench.datasets import open_dataset
from bench.memory import peak_rss_mb, reset_peaks
from bench.protocols import protocol
from bench.runs.execute import execute
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan

MODELS = ("efficientvit_sam_l1", "edge_sam")


def loaded() -> list[str]:
    gc.collect()
    return [one.card.name for one in gc.get_objects() if isinstance(one, Adapter)]


def resident() -> float:
    give_back_freed_memory()
    reset_peaks("cpu")
    return peak_rss_mb()


def test_no_model_stays_loaded(sample_folder, tmp_path):
    before = loaded()
    dataset = open_dataset(sample_folder).first(1)
    weights = {name: Weights("random") for name in MODELS}
    plan = make_plan(weights, dataset, [protocol("efficientvit")], ["box"], None, prepare("cpu", "fp32"))
    folder = RunFolder(tmp_path / "out")
    during = []
    execute(plan, dataset, weights, None, folder, on_images=lambda *_: during.append(loaded()))
    reset_peaks("cpu")
    afterwards = peak_rss_mb()
    assert [sorted(set(models) - set(before)) for models in during] == [[name] for name in MODELS]
    assert loaded() == before
    memory = (folder.record() or {})["memory"]
    assert {name: held["peak_rss_mb"] > 4 * 9.6 for name, held in memory.items()} == dict.fromkeys(MODELS, True)
    assert afterwards - resident() < 50


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets one reset the peak")
def test_a_peak_is_seen_after_it_is_over_and_forgotten_by_a_reset():
    start = resident()
    held = np.ones(400_000_000 // 8)
    del held
    assert peak_rss_mb() - start == pytest.approx(400, abs=80)
    assert resident() == pytest.approx(start, abs=80)
