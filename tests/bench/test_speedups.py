"""How many times as fast as another a model is: measured, and as papers have it."""

from __future__ import annotations

import pytest

from adapters.errors import InputError
from bench.latency.record import Record, Row
from bench.papers.speedups import published, speedups


def row(model: str, stage: str, median: float, spread: float = 0.1, **other) -> Row:
    content = {"weights": "random", "device": "cpu", "dtype": "fp32", "runtime": "eager", "n_prompts": 0, "batch": 1}
    times = {"median": median, "low": median * (1 - spread), "high": median * (1 + spread)}
    return Row(model=model, stage=stage, status="measured", **{**content, **times, **other})


def record(*rows: Row) -> Record:
    return Record(started="2026-01-01T00:00:00+00:00", machine={}, environment={}, settings={}, rows=list(rows))


def test_ratios_of_encoders_and_of_a_first_mask():
    measured = record(
        row("sam_vit_h", "encode", 40.0),
        row("sam_vit_h", "decode_box1", 0.5),
        row("mobile_sam", "encode", 1.0),
        row("mobile_sam", "decode_box1", 0.5),
        row("fast_sam_x", "encode", 4.0),
        row("mobile_sam", "encode_batch4", 3.0, batch=4),
        row("mobile_sam", "encode", 0.5, runtime="compile"),
    )
    mobile, fast, huge = speedups(measured, "sam_vit_h")
    assert (mobile.row.model, fast.row.model, huge.row.model) == ("mobile_sam", "fast_sam_x", "sam_vit_h")
    assert mobile.encode.value == 40
    assert mobile.encode.low == pytest.approx(36 / 1.1)
    assert mobile.encode.high == pytest.approx(44 / 0.9)
    assert mobile.mask is not None
    assert mobile.mask.value == pytest.approx(40.5 / 1.5)
    assert fast.mask is None
    assert (huge.encode.low, huge.encode.high) == (1, 1)
    assert huge.published == ()


def test_a_condition_has_its_own_anchor():
    measured = record(
        *(row("sam_vit_b", "encode", seconds, runtime=runtime) for runtime, seconds in (("eager", 8), ("compile", 6))),
        *(row("edge_sam", "encode", seconds, runtime=runtime) for runtime, seconds in (("eager", 1), ("compile", 2))),
    )
    found = {
        own.row.runtime: own.encode.value for own in speedups(measured, "sam_vit_b") if own.row.model == "edge_sam"
    }
    assert found == {"eager": 8, "compile": 3}


def test_an_anchor_that_wasnt_measured_is_named():
    with pytest.raises(InputError, match=r"no encoder of sam_vit_h .* it has mobile_sam: see --relative"):
        speedups(record(row("mobile_sam", "encode", 1.0)), "sam_vit_h")


def test_papers_ratios_are_of_one_table_and_machine():
    """MobileSAM, README: 452 to 8 ms. FastSAM, table 1: 446 to 40 ms at one point. Survey, table 4: 3294 to 259 ms."""
    encoders = [times for cell, times in published("mobile_sam", "sam_vit_h") if cell.ours == "encode"]
    assert 452 / 8 in encoders
    assert 446 / 40 in [times for _, times in published("fast_sam_x", "sam_vit_h")]
    on_cpu = {cell.published.hardware: times for cell, times in published("edge_sam", "sam_vit_b")}
    assert on_cpu["14 vCPU Intel Xeon Gold 6330 @2.00GHz"] == pytest.approx(3294 / 259)
    assert list(published("sam_vit_h", "sam_vit_h")) == []
