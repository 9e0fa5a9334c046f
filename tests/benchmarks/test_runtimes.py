"""MobileSAM's encoder in other runtimes, measured in turn with eager, each process after the output check."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from adapters.checkpoints import Weights
from bench.datasets.sample import sample_folder
from bench.latency.effect import effect
from bench.latency.execute import child_rows
from bench.latency.inputs import image_files
from bench.latency.plan import Asked, plan
from bench.latency.stages import ENCODE, stages

ROUNDS, SAMPLES = 3, 12


@pytest.mark.parametrize(("runtime", "package"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino")])
def test_an_exported_encoder_is_faster_than_eager(benchmark, runtime, package):
    if find_spec(package) is None or find_spec("onnx") is None:
        pytest.skip(f"needs the extra for {runtime}")
    images = image_files(sample_folder())
    weights = {"mobile_sam": Weights("random")}
    _, specs = plan(Asked(weights, "cpu", ["fp32"], ["eager", runtime], stages([ENCODE]), images, SAMPLES, 60.0))
    seconds: dict[str, list[float]] = {"eager": [], runtime: []}
    checked = []
    for spec in [specs[0], specs[1], specs[1], specs[0]] * ROUNDS:
        for row in child_rows(spec):
            assert row.status == "measured", row.reason
            seconds[spec.runtime] += row.samples
            checked.append(row.output_check and row.output_check.model_dump())
    found = effect(seconds[runtime], seconds["eager"])
    benchmark.extra_info.update(seconds=seconds, output_checks=checked, times_faster=found.ratio)
    benchmark.pedantic(lambda: None, rounds=1)
    print(f"\n{runtime}: {found.ratio:.3f} times faster than eager, 95 % {found.low:.3f} to {found.high:.3f}")
    assert found.low > 1
