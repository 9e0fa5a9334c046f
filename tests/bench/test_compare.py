"""Comparisons: of recorded samples, of noise of known kind, of files that mayn't be compared, of runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from scipy.stats import mannwhitneyu

import adapters
from adapters.checkpoints import resolve
from adapters.errors import InputError
from bench.cli.compare import compare as command
from bench.conditions import prepare
from bench.holm import holm
from bench.latency.compare import compare
from bench.latency.compare_benchmarks import newest
from bench.latency.compare_blocks import blocks_of
from bench.latency.compare_rule import ALPHA, LEAST_SAMPLES, MOST_SAMPLES, more_samples, verdict
from bench.latency.effect import correlation_time, effect, relative
from bench.latency.record import Record, Row
from bench.latency.record_file import read
from bench.protocols import protocol
from bench.runs.plan import SCHEMA, make_plan
from bench.runs.score import INSTANCES
from tests.conftest import read_json

SAMPLES = 50
"""As many as sambench latency takes, if nothing else is asked for."""

PAIRS = 200
DRAWS = ("adjacent", "apart", "passes", "abba")
ENVIRONMENT = {"threads": 2, "versions": {"torch": "2.15.0", "sambench": "0.1.0"}, "load_average_before": 0.1}


@pytest.fixture(scope="module")
def recorded():
    """Return series of real samples by stage, and how many images they went through in turn."""
    content = read_json(Path(__file__).parent / "data" / "latency_samples.json")
    return {stage: np.array(seconds) for stage, seconds in content["seconds"].items()}, content["images"]


def drawn(length, images, how, rng):
    """Return the places of two series of SAMPLES each within one, the order kept."""
    if how == "apart":
        half = length // 2
        starts = rng.integers(0, half - SAMPLES + 1), rng.integers(half, length - SAMPLES + 1)
        places = [np.arange(start, start + SAMPLES) for start in starts]
    else:
        start = rng.integers(0, length - 2 * SAMPLES + 1)
        window = np.arange(start, start + 2 * SAMPLES)
        if how == "adjacent":
            first = window < start + SAMPLES
        elif how == "passes":
            first = (window - start) // images % 2 == 0
        else:
            first = np.isin((window - start) // (SAMPLES // 2), (0, 3))
        places = [window[first], window[~first]]
    return places if rng.random() < 0.5 else places[::-1]


def pairs(recorded, stages, draws, images_known, count=PAIRS, seed=0):
    """Yield pairs of series drawn from the stages in turn, and the inputs of both if they are known."""
    series, images = recorded
    rng = np.random.default_rng(seed)
    for number in range(count):
        stage, how = stages[number % len(stages)], draws[number // len(stages) % len(draws)]
        base, new = drawn(len(series[stage]), images, how, rng)
        inputs = (base % images, new % images) if images_known else ()
        yield series[stage][base], series[stage][new], inputs


def verdicts(pairs, factor=1.0):
    found = [effect(base, factor * new, *inputs) for base, new, inputs in pairs]
    return Counter(verdict(one, one.p) for one in found)


QUIET = ("preprocess", "decode_box1", "postprocess_size", "postprocess_rle")


@pytest.mark.parametrize("images_known", [True, False])
@pytest.mark.parametrize("how", DRAWS)
def test_the_same_code_is_called_different_once_in_a_hundred_at_most(recorded, how, images_known):
    found = verdicts(pairs(recorded, QUIET, [how], images_known))
    assert found["slower"] + found["faster"] <= PAIRS / 100


@pytest.mark.parametrize("images_known", [True, False])
@pytest.mark.parametrize("how", DRAWS)
def test_five_percent_are_found(recorded, how, images_known):
    drawn_pairs = list(pairs(recorded, QUIET, [how], images_known))
    assert verdicts(drawn_pairs, 1.05)["slower"] >= 0.95 * PAIRS
    assert verdicts(drawn_pairs, 1 / 1.05)["faster"] >= 0.95 * PAIRS


def test_on_a_machine_that_drifts_both_hold_for_what_was_measured_in_turn(recorded):
    drawn_pairs = list(pairs(recorded, ["encode"], ["passes", "abba"], True))
    found = verdicts(drawn_pairs)
    assert found["slower"] + found["faster"] <= PAIRS / 100
    assert verdicts(drawn_pairs, 1.05)["slower"] >= 0.9 * PAIRS


def test_many_rows_at_once(recorded):
    """All stages of an A/A pair of files, corrected together."""
    series, images = recorded
    rng = np.random.default_rng(1)
    different = 0
    for number in range(PAIRS // 4):
        found = []
        for stage in QUIET:
            base, new = drawn(len(series[stage]), images, DRAWS[number % 4], rng)
            found.append(effect(series[stage][base], series[stage][new], base % images, new % images))
        told = [verdict(one, p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]
        different += "slower" in told or "faster" in told
    assert different <= PAIRS / 100


def noise(rng, correlation, count=SAMPLES, spread=0.05):
    values = np.empty(count)
    values[0] = rng.normal()
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + np.sqrt(1 - correlation**2) * rng.normal()
    return 0.01 * np.exp(spread * values)


def test_of_independent_samples_it_is_manns_and_whitneys_test():
    rng = np.random.default_rng(0)
    base, new = noise(rng, 0, 40), noise(rng, 0, 31)
    while correlation_time(base) > 1 or correlation_time(new) > 1:
        base, new = noise(rng, 0, 40), noise(rng, 0, 31)
    found = effect(base, new)
    assert found.p == pytest.approx(mannwhitneyu(new, base, method="asymptotic", use_continuity=False).pvalue)
    ratios = np.divide.outer(new, base)
    assert found.ratio == pytest.approx(np.median(ratios), rel=1e-4)
    for limit in (found.low, found.high):  # just not excluded by the test at 5 %
        at_limit = mannwhitneyu(new / limit, base, method="asymptotic", use_continuity=False).pvalue
        assert at_limit == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_intervals_hold_the_truth_for_correlated_samples_too(correlation):
    rng = np.random.default_rng(2)
    found = [effect(noise(rng, correlation, 200), 1.05 * noise(rng, correlation, 200)) for _ in range(300)]
    assert np.mean([one.low <= 1.05 <= one.high for one in found]) >= 0.91
    short = [effect(noise(rng, correlation), noise(rng, correlation)) for _ in range(500)]
    assert np.mean([one.p < ALPHA for one in short]) <= (0.03 if correlation < 0.8 else 0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_correlation_time_is_that_of_the_process(correlation):
    rng = np.random.default_rng(3)
    times = [correlation_time(noise(rng, correlation, 2000)) for _ in range(20)]
    assert np.median(times) == pytest.approx((1 + correlation) / (1 - correlation), rel=0.2)
    assert correlation_time(np.full(10, 3.0)) == 1


def test_long_series_are_compared_by_their_quantiles():
    rng = np.random.default_rng(4)
    base, new = noise(rng, 0, 3000), noise(rng, 0, 2500) * 1.02
    assert effect(base, new).ratio == pytest.approx(np.median(np.divide.outer(new, base)), rel=1e-4)


def test_inputs_are_compared_with_themselves():
    rng = np.random.default_rng(5)
    inputs = np.arange(SAMPLES) % 6
    cost = np.array([1.0, 1.3, 0.6, 2.0, 0.9, 1.6])[inputs]
    base, new = cost * noise(rng, 0, spread=0.01), 1.05 * cost * noise(rng, 0, spread=0.01)
    blind, seeing = effect(base, new), effect(base, new, inputs, inputs)
    assert verdict(blind, blind.p) == "can't tell"
    assert verdict(seeing, seeing.p) == "slower"
    assert seeing.ratio == pytest.approx(1.05, rel=0.01)
    shifted = effect(np.roll(base, 2), new, np.roll(inputs, 2), inputs)
    assert shifted.ratio == pytest.approx(1.05, rel=0.01)


def test_inputs_seen_once_each_still_give_honest_intervals():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        cost = rng.uniform(0.5, 2, 24)
        found.append(effect(cost * noise(rng, 0, 24), cost * noise(rng, 0, 24), np.arange(24), np.arange(24)))
    assert np.mean([one.low <= 1 <= one.high for one in found]) >= 0.93
    assert np.mean([one.p < ALPHA for one in found]) <= 0.02


def test_inputs_that_arent_shared_are_no_help():
    rng = np.random.default_rng(7)
    base, new = noise(rng, 0), noise(rng, 0)
    assert effect(base, new, np.zeros(SAMPLES), np.ones(SAMPLES)) == effect(base, new)


def test_holms_correction():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_below_the_minimum_is_the_same_however_sure():
    rng = np.random.default_rng(8)
    found = effect(noise(rng, 0, spread=0.001), 1.02 * noise(rng, 0, spread=0.001))
    assert found.p < 1e-6
    assert verdict(found, found.p) == "same"
    assert verdict(found, found.p, minimum=0.01) == "slower"


def test_few_samples_tell_nothing():
    found = effect([0.01] * (LEAST_SAMPLES - 1), [0.02] * SAMPLES)
    assert verdict(found, found.p) == "can't tell"
    assert more_samples(found, found.p) >= 1
    single = effect([0.01], [0.02])
    assert LEAST_SAMPLES - 1 <= more_samples(single, single.p) <= MOST_SAMPLES


@pytest.mark.parametrize("factor", [1.0, 1.05, 1.3])
def test_with_as_many_more_samples_it_can_mostly_be_told(factor):
    rng = np.random.default_rng(9)
    before, told = 0, []
    for _ in range(100):
        first = effect(noise(rng, 0, 20, 0.2), factor * noise(rng, 0, 20, 0.2))
        if verdict(first, first.p) == "can't tell" and (more := more_samples(first, first.p)) < 2000:
            again = effect(noise(rng, 0, 20 + more, 0.2), factor * noise(rng, 0, 20 + more, 0.2))
            told.append(verdict(again, again.p) != "can't tell")
            before += 1
    assert before > 5
    assert np.mean(told) >= 0.7


def test_a_ratio_to_a_reference_is_as_unsure_as_both():
    rng = np.random.default_rng(10)
    own = effect(noise(rng, 0), 2.1 * noise(rng, 0))
    reference = effect(noise(rng, 0), 2 * noise(rng, 0))
    found = relative(own, reference)
    assert found.ratio == pytest.approx(own.ratio / reference.ratio)
    assert found.error == pytest.approx(np.hypot(own.error, reference.error))
    assert found.low < found.ratio < found.high


def row(model="m", stage="encode", factor=1.0, seed=0, count=SAMPLES, **other):
    samples = factor * noise(np.random.default_rng([seed, *map(ord, model + stage)]), 0, count, 0.01)
    known = {"weights": "random", "device": "cpu", "dtype": "fp32", "runtime": "eager", "n_prompts": 0, "batch": 1}
    return Row(**{**known, "model": model, "stage": stage, "status": "measured", "samples": list(samples), **other})


def record(*rows, environment=None, machine=None, settings=None, **other):
    return Record(
        **{"started": "2026-01-01T00:00:00+00:00", "status": "complete", **other},
        machine={"cpu": "one", "cores": 2, "gpu": None, **(machine or {})},
        environment={**ENVIRONMENT, **(environment or {})},
        settings=settings or {"seed": 0},
        rows=list(rows),
    )


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


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


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
    with pytest.raises(InputError, match="between 0 and 1"):
        command(base, same, minimum=0)


def benchmarks(samples, threads=2):
    one = {
        "fullname": "tests/benchmarks/test_hot_paths.py::test_click",
        "extra_info": {"threads": threads, "versions": {"torch": "2.15.0"}},
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
    bare = benchmarks([])
    del bare["benchmarks"][0]["stats"]["data"]
    with pytest.raises(InputError, match="--benchmark-save-data"):
        read(written(tmp_path / "bare.json", bare))
    with pytest.raises(InputError, match="neither a run"):
        command(place)


MODELS = ("mobile_sam", "grabcut")


def run_folder(folder, dataset, better, rules="efficientvit", models=MODELS):
    """Write the folder of a finished run in which each model is better by so many points than it is elsewhere."""
    chosen = {name: resolve(adapters.card(name), "random" if name == "mobile_sam" else None) for name in models}
    plan = make_plan(chosen, dataset, [protocol(rules)], ["box", "click"], None, prepare("cpu", "fp32"))
    rng = np.random.default_rng(0)
    rows = []
    for model in plan.models:
        for job in model.jobs:
            for image in range(40):
                keys = {"model": model.name, "protocol": job.protocol, "task": job.task, "image_id": image}
                numbers = {"annotation_id": image, "category_id": 1, "area": 100.0, "iscrowd": False}
                rows.append({**keys, **numbers, "iou": rng.normal(60, 5) + better[model.name] + rng.normal(0, 0.5)})
    folder.mkdir()
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(rows), schema=partial_schema(rows)), folder / "instances.parquet")
    content = {"schema_version": SCHEMA, "status": "complete", "plan": plan.model_dump(mode="json")}
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def partial_schema(rows):
    return pa.schema([field for field in INSTANCES if field.name in rows[0]])


@pytest.fixture
def runs(tmp_path, sample):
    return [run_folder(tmp_path / name, sample, {"mobile_sam": shift, "grabcut": 0.0})
            for name, shift in (("before", 0.0), ("after", -2.0))]  # fmt: skip


def test_runs_are_compared_on_the_same_instances(runs, capsys):
    with pytest.raises(typer.Exit) as end:
        command(*runs)
    assert end.value.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mobile_sam, efficientvit box mIoU: base is better than new by 2.0 [")
    assert any(line.startswith("grabcut, efficientvit box mIoU: new and base can't be told apart") for line in lines)
    command(*runs[::-1])
    assert "mobile_sam, efficientvit click1 mIoU: new is better than base by 2.0 [" in capsys.readouterr().out


def test_two_models_of_one_run(runs, capsys):
    command(runs[0], models="mobile_sam,grabcut")
    assert "efficientvit box mIoU: mobile_sam and grabcut can't be told apart" in capsys.readouterr().out
    for models, said in (
        (None, "--models A,B"),
        ("grabcut", "--models A,B"),
        ("mobile_samm,grabcut", "did you mean 'mobile_sam'"),
    ):
        with pytest.raises(InputError, match=said):
            command(runs[0], models=models)


def test_runs_of_other_data_or_rules_are_refused(runs, tmp_path, sample):
    better = dict.fromkeys(MODELS, 0.0)
    fewer = run_folder(tmp_path / "fewer", sample.first(2), better)
    with pytest.raises(InputError, match=r"data scenes, 4 images.* there, .*2 images.* here"):
        command(runs[0], fewer)
    other = run_folder(tmp_path / "other", sample, better, "edgesam")
    with pytest.raises(InputError, match="protocols efficientvit there, edgesam here"):
        command(runs[0], other)
    content = read_json(runs[1] / "run.json")
    content["plan"]["protocols"][0]["masks"]["select"] = "single"
    (runs[1] / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"efficientvit's masks.select is score there, single here"):
        command(*runs)
    (runs[1] / "run.json").write_text(json.dumps({**content, "status": "running"}))
    with pytest.raises(InputError, match="is running"):
        command(*runs)
    alone = run_folder(tmp_path / "alone", sample, better, models=("grabcut",))
    lonely = run_folder(tmp_path / "lonely", sample, better, models=("mobile_sam",))
    with pytest.raises(InputError, match="no model in common: grabcut there, mobile_sam here"):
        command(alone, lonely)


def test_kinds_arent_mixed(runs, tmp_path):
    record(row()).write(tmp_path / "latency.json")
    for arguments in ((runs[0], tmp_path / "latency.json"), (tmp_path / "latency.json", runs[0])):
        with pytest.raises(InputError, match=r"is a run"):
            command(*arguments)
    with pytest.raises(InputError, match="--relative belongs to latency"):
        command(*runs, relative="grabcut")
    with pytest.raises(InputError, match="--models belongs to a run"):
        command(tmp_path / "latency.json", models="a,b")
