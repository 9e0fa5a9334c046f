"""Choosing under constraints: against brute force over the results files, ties, exclusions, and one line a mistake."""

from __future__ import annotations

import csv
import itertools
import json

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from adapters.cards import cards
from adapters.errors import InputError
from bench.cli.report import report
from bench.report.choice_text import lines, markdown
from bench.report.choose import Objective, choose, requirement
from bench.report.costs import costs
from bench.report.read import read_run
from bench.report.study import studies
from tests.bench.report.runs import QUALITY, write_latency, write_run

MODELS = ("sam_vit_h", "sam_vit_l", "sam_vit_b", "mobile_sam", "efficient_sam_ti", "efficient_sam_s", "grabcut")
app = typer.Typer()
app.command("report")(report)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", MODELS)


@pytest.fixture(scope="module")
def latency(tmp_path_factory):
    return write_latency(tmp_path_factory.mktemp("latency") / "latency.json", MODELS)


@pytest.fixture(scope="module")
def study(folder):
    return studies([read_run(folder)])[0]


@pytest.fixture(scope="module")
def spent(study, latency):
    return costs(study, [latency])


def brute_force(folder, latency, time_limit, size_limit, greatest):
    """The best model, straight from the files."""
    with (folder / "results.csv").open() as file:
        quality = {row["model"]: float(row["value"]) for row in csv.DictReader(file)
                   if (row["task"], row["metric"]) == ("click1", "miou")}  # fmt: skip
    seconds = {row["model"]: row["median"] for row in json.loads(latency.read_text())["rows"]
               if row["stage"] == "end_to_end"}  # fmt: skip
    able = [model for model in quality
            if 1000 * seconds[model] <= time_limit and cards()[model].parameters / 1e6 <= size_limit]  # fmt: skip
    return sorted(able, key=quality.__getitem__, reverse=greatest)


def test_the_winner_is_that_of_brute_force(study, spent, folder, latency):
    winners = set()
    for time_limit, size_limit, greatest in itertools.product((100, 336, 700, 2000, 1e5), (1, 20, 100, 1000), (0, 1)):
        asked = [requirement(f"end_to_end_ms<={time_limit}"), requirement(f"params_m<={size_limit}")]
        found = choose(study, spent, Objective("click1.miou", bool(greatest)), asked)
        expected = brute_force(folder, latency, time_limit, size_limit, bool(greatest))
        assert [study.entry(standing.label).identity.name for standing in found.standings] == expected
        assert len(found.standings) + len(found.excluded) == len(MODELS)
        winners.add(found.winner.label if found.winner else None)
    assert len(winners) > 4
    assert None in winners


def test_models_that_differ_too_little_are_not_separable(study, spent):
    found = choose(study, spent, Objective("click1.miou"))
    assert found.winner.label == "SAM ViT-H"
    assert [standing.label for standing in found.tied] == ["SAM ViT-L"]
    for standing in found.standings[1:]:
        if standing.difference is not None:
            assert standing.apart == standing.difference.told_apart
    assert "Not separable at 95 % from SAM ViT-L." in "\n".join(lines(found, study, spent))


def test_the_same_numbers_are_not_separable(tmp_path):
    alike = dict.fromkeys(QUALITY, 60.0)
    folder = write_run(tmp_path / "run", ("mobile_sam", "efficient_sam_s"), images=12, quality=alike, everything=False)
    study = studies([read_run(folder)])[0]
    found = choose(study, costs(study, []), Objective("box.miou"))
    assert len(found.tied) == 1


def test_two_images_cannot_tell_models_apart(tmp_path):
    study = studies([read_run(write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h", "grabcut"), images=2))])[0]
    spent = costs(study, [])
    for key in ("box.miou", "everything.ar1000"):
        found = choose(study, spent, Objective(key))
        assert len(found.tied) == len(found.standings) - 1 > 0


def test_a_difference_turned_round_is_the_same(study):
    one, other = study.difference("SAM ViT-H", "GrabCut", "box"), study.difference("GrabCut", "SAM ViT-H", "box")
    assert (one.value, one.low, one.high, one.p) == (-other.value, -other.high, -other.low, other.p)
    assert one.low < one.value < one.high


@pytest.mark.parametrize("metric", ["miou_small", "miou_large_oracle", "miou_by_image", "miou_by_category"])
def test_sizes_choices_and_averages_have_a_paired_test_of_their_own(study, metric):
    difference = study.difference("SAM ViT-H", "GrabCut", "box", metric)
    values = study.numbers("box", metric).set_index("label")["value"]
    assert difference.value == pytest.approx(values["SAM ViT-H"] - values["GrabCut"])


@pytest.mark.parametrize("metric", ["ar10", "ar1000"])
def test_recall_has_a_paired_test_of_its_own(study, metric):
    difference = study.difference("SAM ViT-H", "MobileSAM", "everything", metric)
    values = study.numbers("everything", metric).set_index("label")["value"]
    assert difference.value == pytest.approx(values["SAM ViT-H"] - values["MobileSAM"])
    assert difference.low < difference.value < difference.high
    assert study.difference("SAM ViT-H", "MobileSAM", "everything", "ar1000_small") is None


def test_recalls_of_runs_without_those_of_objects_are_told_apart_by_their_intervals(tmp_path):
    folder = write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"))
    file = folder / "instances.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["recalls"]), file)
    study = studies([read_run(folder)])[0]
    assert study.difference("SAM ViT-H", "MobileSAM", "everything", "ar1000") is None
    [_, other] = choose(study, costs(study, []), Objective("everything.ar1000")).standings
    assert other.why.startswith("intervals")


def test_who_is_excluded_is_said_with_every_reason(study, spent):
    asked = [requirement("end_to_end_ms<=700"), requirement("params_m<=20"), requirement("everything.ar1000>=1")]
    found = choose(study, spent, Objective("click1.miou"), asked)
    assert found.excluded["SAM ViT-H"] == (
        "end_to_end_ms ≤ 700 isn't met: 4,035 ms", "params_m ≤ 20 isn't met: 641 M"
    )  # fmt: skip
    assert found.excluded["GrabCut"] == ("everything.ar1000 isn't known",)
    assert found.winner.label == "MobileSAM"


def test_a_limit_within_an_interval_is_doubtful(study, spent):
    found = choose(study, spent, Objective("click1.miou"), [requirement("end_to_end_ms<=336")])
    assert found.winner.label == "MobileSAM"
    assert [str(asked) for asked in found.winner.doubtful] == ["end_to_end_ms ≤ 336"]


def test_numbers_by_other_rules_are_excluded(tmp_path):
    folder = write_run(
        tmp_path / "run", ("mobile_sam", "sam_vit_h"), images=6, replaced={"sam_vit_h": ("points.next=random",)}
    )
    study = studies([read_run(folder)])[0]
    found = choose(study, costs(study, []), Objective("click1.miou"))
    assert found.winner.label == "MobileSAM"
    assert found.excluded == {"SAM ViT-H": ("click1.miou was measured with points.next=random instead",)}


def test_the_least_of_a_cost(study, spent):
    assert choose(study, spent, Objective("download_mb", greatest=False)).winner.label == "GrabCut"
    asked = [requirement("params_m>0")]
    assert choose(study, spent, Objective("end_to_end_ms", greatest=False), asked).winner.label == "MobileSAM"


def test_times_taken_while_running_serve_where_there_is_no_file(study):
    found = costs(study, [])
    assert found.of("encode_ms").set_index("label")["value"]["SAM ViT-H"] == pytest.approx(4200, rel=0.05)
    assert found.of("decode_ms").set_index("label")["value"]["MobileSAM"] == pytest.approx(15.7, rel=0.1)
    parts = sum(found.of(f"{stage}_ms").set_index("label")["value"]["MobileSAM"]
                for stage in ("preprocess", "encode", "decode", "postprocess"))  # fmt: skip
    assert found.of("end_to_end_ms").set_index("label")["value"]["MobileSAM"] == pytest.approx(parts)


def test_markdown_is_a_table_with_everybody_in_it(study, spent):
    found = choose(study, spent, Objective("click1.miou"), [requirement("params_m<=20")])
    text = "\n".join(markdown(found, study, spent))
    assert text.count("\n| ") == len(MODELS) + 1
    assert "**winner**" in text
    assert study.protocol.identity in text


@pytest.mark.parametrize(
    ("text", "told"),
    [("encode_ms", "KEY<=NUMBER"), ("encode_ms<=fast", "KEY<=NUMBER"), ("encode_ms==5", "KEY<=NUMBER")],
)
def test_a_requirement_that_is_none(text, told):
    with pytest.raises(InputError, match=told):
        requirement(text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--maximize", "click1.miuo"], "did you mean 'click1.miou'"),
        (["--maximize", "click1.miou", "--require", "encode_m<=5"], "did you mean 'encode_ms'"),
        (["--require", "encode_ms<=5"], "what is to be best"),
        (["--markdown"], "what is to be best"),
        (["--maximize", "box.miou", "--minimize", "params_m"], "one of them"),
        (["--protocol", "edgesan"], "unknown protocol"),
        (["--reference", "mobile_sma"], "did you mean 'mobile_sam'"),
        (["--gallery"], "--data"),
        (["--examples", "0"], "at least 1"),
    ],
)
def test_each_mistake_has_one_line(folder, tmp_path, arguments, told):
    result = CliRunner().invoke(app, [str(folder), "--out", str(tmp_path / "page.html"), *arguments])
    assert isinstance(result.exception, InputError)
    assert told in str(result.exception)
    assert not (tmp_path / "page.html").exists()


def test_choosing_alone_writes_no_page(folder, latency, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(folder), "--latency", str(latency), "--maximize", "click1.miou", "--require", "params_m<=20"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "Under params_m ≤ 20: EfficientSAM-S" in result.output or "Under params_m ≤ 20: MobileSAM" in result.output
    assert not list(tmp_path.iterdir())
