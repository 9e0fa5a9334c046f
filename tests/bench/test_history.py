"""Histories of medians: what is appended, what is read back, where a series steps, what the command shows."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from adapters.errors import InputError
from bench.cli.history import history as command
from bench.latency.history import COLUMNS, append, histories, installed_revision, machine_name
from bench.latency.record import Record, Row
from bench.latency.steps import steps
from bench.latency.summary import summary


def record(day=1, factor=1.0, stages=("encode", "decode_box1"), machine=None, torch="2.15.0", **other):
    rng = np.random.default_rng(day)
    known = {"model": "mobile_sam", "weights": "random", "device": "cpu", "dtype": "fp32", "runtime": "eager"}
    rows = []
    for stage in stages:
        samples = [float(value) for value in factor * 0.01 * np.exp(rng.normal(0, 0.01, 30))]
        size = {"n_prompts": 0, "batch": 1, "status": "measured"}
        rows.append(Row(**{**known, **size, **other}, stage=stage, samples=samples, **summary(samples)))
    return Record(
        started=f"2026-01-{day:02d}T00:00:00+00:00",
        status="complete",
        machine=machine or {"cpu": "AMD EPYC 7B13 (64)", "cores": 2, "gpu": None},
        environment={"threads": 2, "versions": {"torch": torch}},
        settings={},
        rows=rows,
    )


def series(levels, rng, spread=0.01, kind="normal"):
    count = sum(length for _, length in levels)
    noise = {
        "normal": rng.normal(size=count),
        "laplace": rng.laplace(size=count) / np.sqrt(2),
        "outliers": rng.standard_t(3, count) / np.sqrt(3),
    }[kind]
    values = np.concatenate([np.full(length, level) for level, length in levels]) * np.exp(spread * noise)
    return values, values * 0.995, values * 1.005


def test_a_measurement_is_appended_once(tmp_path):
    first = append(record(), tmp_path, "v1")
    assert first == [tmp_path / "amd-epyc-7b13-64-2-cores" / "cpu-fp32-eager.csv"]
    before = first[0].read_bytes()
    append(record(), tmp_path, "v1")
    assert first[0].read_bytes() == before
    append(record(2), tmp_path, "v2")
    assert first[0].read_bytes().startswith(before)
    with first[0].open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["revision"] for row in rows] == ["v1", "v1", "v2", "v2"]
    measured = record().rows[0]
    assert float(rows[0]["median_ms"]) == pytest.approx(1000 * measured.median, rel=1e-5)
    assert (rows[0]["n"], rows[0]["torch"], rows[0]["threads"]) == ("30", "2.15.0", "2")


def test_each_machine_and_condition_has_its_file(tmp_path):
    gpu = {"cpu": "Intel(R) Xeon(R)", "cores": 16, "gpu": "NVIDIA H200"}
    assert machine_name(record(machine=gpu)) == "nvidia-h200-intel-r-xeon-r-16-cores"
    append(record(), tmp_path)
    append(record(device="cuda:0", dtype="bf16", runtime="channels_last", machine=gpu), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["cpu-fp32-eager.csv", "cuda-0-bf16-channels_last.csv"]


def test_rows_that_werent_measured_are_left_out(tmp_path):
    own = record()
    own.rows[0] = own.rows[0].model_copy(update={"status": "failed", "samples": []})
    append(own, tmp_path)
    assert [found.stage for found in histories(tmp_path)] == ["decode_box1"]
    with pytest.raises(InputError, match="nothing to record"):
        append(own.model_copy(update={"rows": own.rows[:1]}), tmp_path)


def test_series_are_read_back_in_order_of_time(tmp_path):
    for day in (3, 1, 2):
        append(record(day, factor=day), tmp_path, f"v{day}")
    found = histories(tmp_path)
    assert [own.stage for own in found] == ["encode", "decode_box1"]
    assert found[0].revisions == ["v1", "v2", "v3"]
    assert found[0].medians == pytest.approx([10, 20, 30], rel=0.02)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,revision,other\n", "is no history"),
        (",".join(COLUMNS) + "\n2026,v1\n", "line 2 hasn't"),
        (",".join(COLUMNS) + "\n" + ",".join(["2026", "v1", *"mwsnb", "soon", "1", "1", "1", "t", "2"]) + "\n", "soon"),
        (
            ",".join(COLUMNS) + "\n" + ",".join(["2026", "v1", *"mwsnb", "-1", "1", "1", "1", "t", "2"]) + "\n",
            "above 0",
        ),
        ("some,other,table\n", "no history in"),
    ],
)
def test_damaged_files_get_one_line(tmp_path, text, said):
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "cpu-fp32-eager.csv").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        histories(tmp_path)
    assert "\n" not in str(error.value)


def test_the_revision_is_the_checkouts():
    assert installed_revision()


@pytest.mark.parametrize("kind", ["normal", "laplace", "outliers"])
def test_noise_makes_no_steps(kind):
    rng = np.random.default_rng(0)
    found = [len(steps(*series([(10, length)], rng, 0.02, kind))) > 0 for length in (6, 12, 25) for _ in range(60)]
    assert np.mean(found) <= 0.05


@pytest.mark.parametrize("kind", ["normal", "laplace", "outliers"])
@pytest.mark.parametrize("factor", [1.08, 1 / 1.08])
def test_steps_are_found_where_they_are(kind, factor):
    rng = np.random.default_rng(1)
    near = 0
    for _ in range(50):
        found = steps(*series([(10, 10), (10 * factor, 8)], rng, 0.015, kind))
        near += len(found) == 1 and abs(found[0].index - 10) <= 1 and found[0].ratio == pytest.approx(factor, rel=0.03)
    assert near >= 45


def test_several_steps_and_an_outlier():
    rng = np.random.default_rng(2)
    values, low, high = series([(10, 6), (12, 6), (9, 6)], rng, 0.005)
    values[3] *= 3
    assert [step.index for step in steps(values, low, high)] == [6, 12]


def test_a_step_shows_with_its_second_recording():
    rng = np.random.default_rng(3)
    assert not steps(*series([(10, 8), (13, 1)], rng, 0.003))
    assert [step.index for step in steps(*series([(10, 8), (13, 2)], rng, 0.003))] == [8]
    assert not steps([10.0], [10.0], [10.0])


def test_small_steps_dont_count():
    rng = np.random.default_rng(4)
    small = series([(10, 10), (10.2, 10)], rng, 0.001)
    assert not steps(*small)
    assert [step.index for step in steps(*small, minimum=0.01)] == [10]


def test_wide_intervals_make_a_recording_count_less():
    values = np.array([10, 10, 10.02, 10, 11, 11.02, 11, 11])
    assert steps(values, values * 0.99, values * 1.01)
    assert not steps(values, values * 0.7, values * 1.3)


@pytest.fixture
def recorded(tmp_path):
    """Return a folder of ten recordings; from the sixth on the encoder is 20 % slower, with another torch."""
    for day in range(1, 11):
        late = day > 5
        append(
            record(day, 1.2 if late else 1.0, ("encode",), torch="2.16.0" if late else "2.15.0"), tmp_path, f"v{day}"
        )
        append(record(day, 1.0, ("decode_box1",)), tmp_path, f"v{day}")
    return tmp_path


def test_the_command_shows_steps_and_draws(recorded, capsys):
    drawings = [recorded / name for name in ("one.svg", "two.svg")]
    for drawing in drawings:
        command(out=drawing, results=recorded)
    out = capsys.readouterr().out
    assert "2026-01-06 v6: +" in out
    assert "torch 2.15.0 to 2.16.0" in out
    assert drawings[0].read_text().startswith("<?xml")
    assert drawings[0].read_bytes() == drawings[1].read_bytes()
    command(model="mobile_sam", stage="decode_box1", results=recorded)
    assert "v6" not in capsys.readouterr().out


def test_the_command_refuses_in_one_line(recorded, tmp_path):
    with pytest.raises(InputError, match="did you mean 'encode'"):
        command(stage="encod", results=recorded)
    with pytest.raises(InputError, match="did you mean 'mobile_sam'"):
        command(model="mobile_san", results=recorded)
    with pytest.raises(InputError, match=r"ends in \.svg"):
        command(out=recorded / "a.txt", results=recorded)
    with pytest.raises(InputError, match="no history in"):
        command(results=tmp_path / "nothing")
