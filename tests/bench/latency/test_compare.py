"""Comparisons of files: verdicts, what mayn't be compared, damaged ones, stored benchmarks."""

from __future__ import annotations

import numpy as np
import pytest
import typer

from adapters.errors import InputError
from bench.cli.compare import compare as command
from bench.latency.compare import compare
from bench.latency.compare_benchmarks import newest
from bench.latency.compare_blocks import blocks_of
from bench.latency.record import Row
from bench.latency.record_file import read
from tests.bench.latency.records import noise, record, row, written


def test_each_row_has_its_verdict():
    base = record(row(), row(stage="load", count=3), row(stage="end_to_end"), row(stage="postprocess_rle"))
    new = record(
        row(factor=1.1, seed=1),
        row(stage="load", count=3, seed=1),
        row(stage="end_to_end", factor=0.8, seed=1),
        row(stage="postprocess_rle", seed=1),
    )
    found = compare(base, new)
    assert [one.verdict for one in found.rows] == ["slower", "can't tell", "faster", "same"]
    assert [one.more is not None for one in found.rows] == [False, True, False, False]
    assert found.remarks == found.left_out == []


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({"machine": {"cpu": "other"}}, {}, "CPU other there, one here"),
        ({"environment": {"threads": 1}}, {}, "threads 1 there, 2 here"),
        ({"environment": {"versions": {"torch": "2.4.0"}}}, {}, "torch 2.4.0 there, 2.15.0 here"),
        ({"machine": {"gpu": "H200"}}, {}, "GPU H200 there, not known here"),
        ({"settings": {"images": [{"name": "a"}]}}, {"settings": {"images": [{"name": "b"}]}}, "images 1 of them"),
    ],
)
def test_files_of_other_conditions_are_refused_in_one_line(there, here, said):
    with pytest.raises(InputError, match=said) as error:
        compare(record(row(), **there), record(row(), **here))
    assert "\n" not in str(error.value)
    assert "--relative" in str(error.value)


def test_what_doesnt_matter_is_said():
    environment = {"versions": {"torch": "2.15.0", "sambench": "0.2.0"}, "load_average_before": 2.3, "governor": "slow"}
    found = compare(record(row()), record(row(seed=1), environment=environment))
    assert found.remarks == [
        "environment.governor not known there, slow here",
        "load average when it began 0.1 there, 2.3 here",
    ]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"dtype": "bf16"}, "dtype fp32 there, bf16 here"),
        ({"model": "n"}, "model m there, n here"),
        ({"weights": "0123456789ab"}, "weights random there, 0123456789ab here"),
    ],
)
def test_files_without_a_row_in_common_say_why(other, said):
    with pytest.raises(InputError, match=f"no row in common: {said}"):
        compare(record(row()), record(row(**other)))


def test_an_unfinished_file_says_what_is_missing():
    missing = Row(**{**row(stage="everything_32").model_dump(), "status": "missing", "samples": []})
    failed = Row(**{**missing.model_dump(), "stage": "everything_16", "status": "failed", "reason": "no memory"})
    new = record(row(), missing, failed, status="stopped", error="killed")
    found = compare(record(row(), row(stage="everything_32")), new)
    assert len(found.rows) == 1
    assert found.left_out == [
        "new: m everything_32 (random, cpu, fp32, eager, 0 prompts) is missing (the measurement is stopped: killed)",
        "new: m everything_16 (random, cpu, fp32, eager, 0 prompts) failed: no memory",
        "m everything_32 (random, cpu, fp32, eager, 0 prompts) is measured in base alone",
    ]


def test_ratios_carry_over_to_another_machine():
    base = record(row("sam"), row("tiny"), row("small"), row("small", "load"))
    new = record(
        row("sam", factor=3, seed=1, dtype="bf16"),
        row("tiny", factor=3.3, seed=1, dtype="bf16"),
        row("small", factor=3, seed=1, dtype="bf16"),
        row("small", "load", dtype="bf16"),
        machine={"cpu": "other"},
    )
    found = compare(base, new, relative="sam")
    assert {one.new.model: one.verdict for one in found.rows} == {"tiny": "slower", "small": "same"}
    assert found.remarks[:2] == ["CPU one there, other here", "dtype fp32 there, bf16 here"]
    assert found.left_out == ["small load (random, cpu, bf16, eager, 0 prompts): sam wasn't measured there"]
    with pytest.raises(InputError, match="did you mean 'sam'"):
        compare(base, new, relative="samm")


def test_a_shift_of_every_row_is_suspected():
    stages = ("preprocess", "encode", "decode_box1", "end_to_end")
    base, new = ([row(stage=stage, factor=f, seed=f) for stage in stages] for f in (1, 2))
    found = compare(record(*base), record(*new))
    assert "may be the machine" in found.remarks[-1]


def test_inputs_follow_the_warm_ups():
    images = {"images": [{"name": str(number)} for number in range(4)]}
    own = row(count=6, warmups=4)
    assert blocks_of(own, record(own, settings=images)) == [1, 2, 3, 0, 1, 2]
    assert blocks_of(own, record(own)) is None
    assert blocks_of(row(stage="load"), record(own, settings=images)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: "no json", "not JSON"),
        (lambda content: {"kind": "other"}, "holds no latency measurement"),
        (lambda content: {**content, "schema_version": 3}, "schema version 3"),
        (lambda content: {**content, "rows": [{}]}, "rows.0.model: Field required"),
        (lambda content: {**content, "rows": content["rows"] * 2}, "is there twice"),
        (lambda content: {**content, "rows": [{**content["rows"][0], "samples": []}]}, "has no samples"),
        (lambda content: {**content, "rows": [{**content["rows"][0], "samples": [0.1, -1]}]}, "no durations"),
    ],
)
def test_damaged_files_get_one_line(tmp_path, change, said):
    path = written(tmp_path / "latency.json", change(record(row()).model_dump(mode="json")))
    with pytest.raises(InputError, match=said) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_the_command_exits_1_on_slower_alone(tmp_path, capsys):
    base, same, slower = (tmp_path / f"{name}.json" for name in ("base", "same", "slower"))
    record(row()).write(base)
    record(row(seed=1)).write(same)
    record(row(factor=1.2, seed=1)).write(slower)
    command(base, same)
    command(slower, base)
    with pytest.raises(typer.Exit) as end:
        command(base, slower)
    assert end.value.exit_code == 1
    out = capsys.readouterr().out
    assert "1 same" in out
    assert "1 faster" in out
    assert "1 slower" in out
    with pytest.raises(InputError, match="NEW is missing"):
        command(base)
    with pytest.raises(InputError, match=r"nowhere is missing: a latency file"):
        command(base.with_name("nowhere"))
    with pytest.raises(InputError, match="between 0 and 1"):
        command(base, same, minimum=0)


def benchmarks(samples, threads=2, pulse=0.013):
    one = {
        "fullname": "tests/benchmarks/test_hot_paths.py::test_click",
        "extra_info": {"threads": threads, "versions": {"torch": "2.15.0"}, "pulses": [pulse] * 20},
        "stats": {"data": list(samples)},
    }
    machine = {"cpu": {"brand_raw": "one", "count": 2}, "system": "Linux", "machine": "x", "python_version": "3.11"}
    return {"datetime": "2026-01-01T00:00:00+00:00", "machine_info": machine, "benchmarks": [one]}


def test_stored_benchmarks_are_compared_by_the_same_rule(tmp_path, capsys):
    place = tmp_path / "Linux-CPython"
    place.mkdir()
    rng = np.random.default_rng(11)
    written(place / "0001_a.json", benchmarks(noise(rng, 0, spread=0.01)))
    command(tmp_path)
    assert "nothing to compare it with" in capsys.readouterr().out
    written(place / "0002_b.json", benchmarks(1.1 * noise(rng, 0, spread=0.01)))
    assert [path.name for path in newest(tmp_path)] == ["0001_a.json", "0002_b.json"]
    with pytest.raises(typer.Exit):
        command(tmp_path)
    assert "test_click" in capsys.readouterr().out
    written(place / "0003_c.json", benchmarks(1.3 * noise(rng, 0, spread=0.01), pulse=0.016))
    command(tmp_path)
    assert "the machine itself was 23 % slower" in " ".join(capsys.readouterr().out.split())
    written(place / "0004_d.json", benchmarks(1.34 * noise(rng, 0, spread=0.01), pulse=0.016))
    command(tmp_path)
    assert "processes of one code are as far apart" in " ".join(capsys.readouterr().out.split())
    bare = benchmarks([])
    del bare["benchmarks"][0]["stats"]["data"]
    with pytest.raises(InputError, match="--benchmark-save-data"):
        read(written(tmp_path / "bare.json", bare))
    with pytest.raises(InputError, match="neither a run"):
        command(place)
