"""What the comparison says of real measurements: nothing of equal code, and slower of a decoder made 5 % slower.

Half an hour on two cores: pytest tests/benchmarks/test_real_pairs.py --benchmark-enable.
"""

from __future__ import annotations

import sys
from collections import Counter
from math import exp
from pathlib import Path

from adapters.checkpoints import Weights
from bench.datasets.sample import sample_folder
from bench.latency.compare import Comparison, compare
from bench.latency.execute import execute
from bench.latency.inputs import image_files
from bench.latency.interleave import interleaved
from bench.latency.plan import Asked, plan
from bench.latency.record import Record
from bench.latency.stages import stages

EQUAL_PAIRS, SLOWER_RUNS, SAMPLES, PROCESSES, IMAGES = 20, 10, 50, 3, 4
MODEL = "efficientvit_sam_l0"
LIGHT = ("decode_point1", "decode_box1")
ROOT = Path(__file__).parents[2]


def asked(names: tuple[str, ...]) -> Asked:
    """Return stages with random weights and the usual number of samples.

    The decoder is SAM's; the encoder before it is a quick one.
    """
    images = image_files(sample_folder())[:IMAGES]
    return Asked(
        {MODEL: Weights("random")}, "cpu", ["fp32"], ["eager"], stages(names), images, SAMPLES, 60.0, 0, PROCESSES
    )


def measured(path: Path) -> Record:
    """Measure as `sambench latency` does."""
    record, specs = plan(asked(LIGHT))
    execute(record, specs, path, processes=PROCESSES)
    return record


def equal_pair(folder: Path) -> Comparison:
    """Compare two measurements of the same code, one after the other."""
    return compare(measured(folder / "base.json"), measured(folder / "new.json"))


def slower_run(folder: Path) -> Comparison:
    """Measure the decoder and a slower one in turn, as `sambench latency --against` does."""
    slowed = folder / "python"
    slowed.write_text(
        f'#!/bin/sh\nSAMBENCH_PLUGINS=tests.benchmarks.slowed PYTHONPATH={ROOT} exec {sys.executable} "$@"\n'
    )
    slowed.chmod(0o755)
    fresh, specs = plan(asked(("decode_point1",)))
    return compare(*interleaved(fresh, specs, sys.executable, str(slowed)))


def told(comparison: Comparison) -> dict[str, tuple[str, float, float]]:
    """Return each stage's verdict and ratio, and by what the machine's pulse changed."""
    return {
        row.new.stage: (row.verdict, round(row.effect.ratio, 4), round(exp(row.drift), 4)) for row in comparison.rows
    }


def test_equal_code_is_seldom_called_different(benchmark, tmp_path):
    found = [told(equal_pair(tmp_path)) for _ in range(EQUAL_PAIRS)]
    benchmark.extra_info.update(pairs=found)
    benchmark.pedantic(lambda: None, rounds=1)
    different = [pair for pair in found if any(verdict in ("slower", "faster") for verdict, *_ in pair.values())]
    assert len(different) <= 1, different


def test_a_slower_decoder_is_found(benchmark, tmp_path):
    found = [told(slower_run(tmp_path)) for _ in range(SLOWER_RUNS)]
    benchmark.extra_info.update(runs=found)
    benchmark.pedantic(lambda: None, rounds=1)
    verdicts = Counter(verdict for run in found for verdict, *_ in run.values())
    assert verdicts["slower"] >= 0.9 * SLOWER_RUNS, found
