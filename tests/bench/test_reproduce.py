"""sambench tables and reproduce: verdicts from small run folders, what is said where a cell can't be measured."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from adapters.errors import InputError
from bench.cli.reproduce import reproduce
from bench.cli.tables import tables
from bench.papers.cells import cells
from bench.papers.missing import AtHand
from bench.papers.outcome import Outcome, outcomes
from bench.papers.run_results import RunResults
from bench.papers.show import outcomes_csv
from bench.papers.speed import paper_speed
from bench.papers.table import table
from bench.papers.verdict import Verdict
from bench.protocols import protocol
from bench.runs.plan import SCHEMA
from bench.runs.score import LATENCY_COLUMNS, RESULT_COLUMNS

app = typer.Typer()
app.command("tables")(tables)
app.command("reproduce")(reproduce)
ALL = AtHand(lambda _: True)
VITDET = {"name": "coco_vitdet.json", "digest": "0" * 64, "boxes": 9}


def identity(preset: str, replaced: str = "") -> str:
    rules = protocol(preset)
    return f"{rules.name}/{rules.version}/{rules.digest[:12]}{f';replaced: {replaced}' if replaced else ''}"


def row(task, metric, value, low, high, model="mobile_sam", preset="efficientvit", weights="6dbb90523a35", replaced=""):
    return [model, weights, "val", identity(preset, replaced), task, metric, value, low, high, 9, "%"]


def write_run(folder: Path, rows=(), images=5000, total=5000, kind="coco", comparable=True, detections=None,
              presets=("efficientvit",), dtype="fp32", omitted=(), latency=(), status="complete"):  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    models = sorted({row[0] for row in rows} | {sample[0] for sample in latency})
    plan = {
        "models": [{"name": m, "short_weights": "6dbb90523a35", "official": True} for m in models],
        "dataset": {"name": "val", "kind": kind, "images": images, "total_images": total, "comparable": comparable},
        "protocols": [{"name": preset} for preset in presets],
        "detections": detections,
        "omitted": list(omitted),
        "conditions": {"dtype": dtype, "summary": f"cpu, {dtype}"},
    }
    record = {"schema_version": SCHEMA, "status": status, "plan": plan}
    (folder / "run.json").write_text(json.dumps(record))
    write_csv(folder / "results.csv", RESULT_COLUMNS, rows)
    write_csv(folder / "latency.csv", LATENCY_COLUMNS, latency)
    return folder


def write_csv(file, columns, rows):
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    file.write_text(text.getvalue())


def reproduced(name: str, folder: Path, at_hand: AtHand = ALL) -> dict[str, Outcome]:
    return {found.cell.published.id: found for found in outcomes(cells(table(name)), RunResults(folder), at_hand)}


def verdict(folder: Path, cell: str, at_hand: AtHand = ALL) -> tuple[Verdict, str]:
    found = reproduced(cell.partition("/")[0], folder, at_hand)[cell]
    return found.verdict, found.reason


BOX = "efficientvit-table3/sam_vit_h/coco/box/miou"  # 77.4


@pytest.mark.parametrize(
    ("value", "low", "high", "images", "expected"),
    [
        (78.2, 77.0, 79.0, 206, Verdict.AGREES),
        (78.2, 77.44, 79.0, 206, Verdict.AGREES),  # 77.4 may have been 77.44
        (78.2, 77.46, 79.0, 206, Verdict.DIFFERS),
        (77.6, 77.55, 77.65, 206, Verdict.DIFFERS),  # on a part the interval alone counts
        (77.6, 77.55, 77.65, 5000, Verdict.AGREES),  # on the whole half a point does too
        (76.86, 76.8, 76.9, 5000, Verdict.AGREES),
        (78.0, 77.9, 78.1, 5000, Verdict.DIFFERS),
        (78.0, 77.3, 78.9, 5000, Verdict.AGREES),
    ],
)
def test_interval_on_a_part_tolerance_on_the_whole(tmp_path, value, low, high, images, expected):
    folder = write_run(tmp_path, [row("box", "miou", value, low, high, "sam_vit_h")], images=images)
    assert verdict(folder, BOX)[0] == expected


def test_the_annotation_file_may_be_a_part_itself(tmp_path):
    folder = write_run(tmp_path, [row("box", "miou", 77.6, 77.55, 77.65, "sam_vit_h")], images=206, total=206)
    assert verdict(folder, BOX)[0] == Verdict.DIFFERS


@pytest.mark.parametrize(
    ("change", "given", "reason"),
    [
        ({}, {"comparable": False}, "drawn by the suite"),
        ({"weights": "random"}, {}, "random weights"),
        ({}, {"images": 6000, "total": 6000}, "6000 images are not COCO val2017's 5000"),
        ({"replaced": "points.next=random"}, {}, "replaced: points.next=random"),
        ({"low": "", "high": ""}, {"images": 9}, "no interval"),
    ],
)
def test_no_verdict(tmp_path, change, given, reason):
    numbers = {"value": 10.0, "low": 9.0, "high": 11.0, **change}
    folder = write_run(tmp_path, [row("box", "miou", model="sam_vit_h", **numbers)], **given)
    found, why = verdict(folder, BOX)
    assert found == Verdict.NONE
    assert reason in why


def test_second_hand_numbers_get_no_verdict(tmp_path):
    folder = write_run(tmp_path, [row("box", "miou", 10, 9, 11)])
    found, why = verdict(folder, "survey-table6/mobile_sam/coco/box/miou")
    assert (found, why) == (Verdict.NONE, "the paper's number is known second-hand")


def test_other_boxes_are_shown_and_not_judged(tmp_path):
    cell = "efficientvit-table4/sam_vit_h/lvis/ap"
    ours = [row("detector_box", "ap", 44.3, 44.0, 44.6, "sam_vit_h")]
    lvis = {"kind": "lvis", "images": 19809, "total": 19809}
    assert verdict(write_run(tmp_path / "a", ours, detections=VITDET, **lvis), cell)[0] == Verdict.AGREES
    other = {**VITDET, "name": "yolox_nano_bbox_results.json"}
    found = reproduced("efficientvit-table4", write_run(tmp_path / "b", ours, detections=other, **lvis))[cell]
    assert found.verdict == Verdict.NONE
    assert "other detector boxes (yolox_nano_bbox_results.json, not ViTDet-H's)" in found.reason
    assert found.measured is not None
    assert found.measured.value == 44.3


def test_precision_must_be_the_papers(tmp_path):
    folder = write_run(
        tmp_path,
        [row("click1", "miou", 53.4, 53.2, 53.6, "sam_vit_b", "samfast")],
        presets=("samfast",),
        dtype="fp32",
    )
    found = reproduced("segment-anything-fast", folder)
    assert found["segment-anything-fast/sam_vit_b/coco/fp32-bs8/click1/miou"].verdict == Verdict.AGREES
    bf16 = found["segment-anything-fast/sam_vit_b/coco/bf16-bs8/click1/miou"]
    assert (bf16.verdict, bf16.reason) == (Verdict.NONE, "measured in fp32; --dtype bf16 is the paper's")
    assert found["segment-anything-fast/sam_vit_h/coco/int8-bs32/click1/miou"].verdict == Verdict.NOT_RUN


def test_why_a_cell_was_not_run(tmp_path):
    omitted = [{"model": "mobile_sam", "protocol": "edgesam", "task": "box_click1", "reason": "it takes no such thing"}]
    rows = [row("box", "miou", 74.4, 74, 75, preset="edgesam")]
    folder = write_run(tmp_path, rows, presets=("edgesam",), omitted=omitted)
    has_sam = AtHand(lambda model: model == "sam_vit_h", ("coco", "val"))
    table2 = "edgesam-table2/"
    assert verdict(folder, f"{table2}mobile_sam/coco/box/miou", has_sam)[0] == Verdict.AGREES
    for cell, reason in (
        ("mobile_sam/coco/box_click1/miou", "it takes no such thing"),
        ("mobile_sam/coco/box_click2/miou", "the run has no miou of box_click2"),
        ("mobile_sam/lvis/box/miou", "needs LVIS v1 val"),
        ("mobile_sam/sa1k/box/miou", "needs SA-1B"),
        ("sam_vit_h/coco/box/miou", "sam_vit_h isn't in the run"),
        ("efficient_sam_ti/coco/box/miou", "no checkpoint of efficient_sam_ti"),
    ):
        at_hand = AtHand(lambda model: model != "efficient_sam_ti", ("coco", "val"))
        assert verdict(folder, table2 + cell, at_hand) == (Verdict.NOT_RUN, reason)


def test_trend_alone_is_shown(tmp_path):
    folder = write_run(
        tmp_path, [row("pair200", "miou", 10, 9, 11, preset="mobilesam-align")], presets=("mobilesam-align",)
    )
    found, why = verdict(folder, "mobilesam-table7/mobile_sam/sa1b/pair200/miou")
    assert found == Verdict.NONE
    assert "only the trend" in why


def samples(model, encode, decode):
    rows = [[model, "encode", 0, "cpu", "fp32", encode + shift] for shift in (-0.01, 0.0, 0.02)]
    return [*rows, [model, "decode", 1, "cpu", "fp32", decode], [model, "decode", 50, "cpu", "fp32", 10 * decode]]


def test_times_are_shown_beside_the_papers_hardware_and_as_ratios(tmp_path):
    latency = [*samples("mobile_sam", 0.1, 0.02), *samples("sam_vit_h", 5.0, 0.02)]
    found = reproduced("mobilesam-encoder", write_run(tmp_path, latency=latency))
    cell = found["mobilesam-readme-encoder/mobile_sam/encoder_latency"]
    assert cell.measured is not None
    assert cell.measured.value == pytest.approx(100)
    assert cell.speed == pytest.approx(50)
    assert cell.paper_speed == pytest.approx(452 / 8)
    assert cell.verdict == Verdict.NONE
    assert "single GPU" in cell.reason
    decoder = reproduced("mobilesam-decoder", tmp_path)["mobilesam-readme-decoder/mobile_sam/decoder_latency"]
    assert decoder.measured is not None
    assert decoder.measured.value == pytest.approx(20)
    throughput = reproduced("efficientvit-table1", tmp_path)["efficientvit-table1/mobile_sam/throughput"]
    assert throughput.measured is not None
    assert throughput.measured.value == pytest.approx(10)
    assert paper_speed(throughput.cell) == pytest.approx(278 / 11)


def test_costs_are_counted_without_a_run(tmp_path):
    found = {o.cell.published.id: o for o in outcomes(cells(table("mobilesam-pipeline")), None, ALL)}
    params = found["mobilesam-readme-pipeline/mobile_sam/pipeline_params"]
    assert params.measured is not None
    assert params.measured.value == pytest.approx(10.130092)
    assert params.verdict == Verdict.NONE  # 9.66 M in the paper: never a failure
    assert found["mobilesam-readme-pipeline/mobile_sam/pipeline_latency"].reason == "nothing was run"


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_exit_statuses_and_the_file(tmp_path):
    agrees = write_run(tmp_path / "agrees", [row("box", "miou", 77.6, 77.0, 78.0, "sam_vit_h")], images=206)
    done = invoke("reproduce", "efficientvit-table3", "--from", agrees, "--models", "sam_vit_h")
    assert done.exit_code == 0, done.output
    assert "206 of 5000 images of COCO val2017; A PART" in done.output
    assert "77.60" in done.output
    assert "missing: LVIS v1 val: lvis_v1_val.json" in done.output
    found = pd.read_csv(agrees / "reproduce-efficientvit-table3.csv").set_index("id")
    assert len(found) == 8
    assert found.loc[BOX, "verdict"] == "agrees"
    assert found.loc[BOX, "difference"] == pytest.approx(0.2)
    assert found.loc[BOX, "images"] == 206
    assert found.loc[BOX, "measured_under"] == identity("efficientvit")

    differs = write_run(tmp_path / "differs", [row("box", "miou", 70.0, 69.0, 71.0, "sam_vit_h")])
    cells_file = tmp_path / "cells.csv"
    done = invoke("reproduce", "efficientvit-table3", "--from", differs, "--csv", cells_file)
    assert done.exit_code == 1
    assert cells_file.is_file()
    assert not (differs / "reproduce-efficientvit-table3.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edgesam-tabel2"], "did you mean 'edgesam-table2'"),
        (["edgesam-table2"], "--data DIR or --from RUN needed"),
        (["edgesam-table2", "--from", "RUN"], "was run under efficientvit, but edgesam-table2 takes edgesam"),
        (["edgesam-table2", "--from", "RUN", "--limit", "3"], "--from takes a finished run"),
        (["efficientvit-table3", "--from", "RUN", "--models", "grabcut"], "efficientvit-table3 has sam_vit_h"),
        (["efficientvit-table3", "--from", "RUN", "--models", "sam_vit"], "unknown model 'sam_vit'"),
        (["efficientvit-table3", "--from", "NOWHERE"], "no run in"),
        (["efficientvit-table3", "--from", "STOPPED"], "is running"),
        (["efficientvit-table3", "--from", "OTHER"], "was run under efficientvit/7/0123456789ab, but"),
        (["efficientvit-table4", "--from", "RUN"], "nothing of efficientvit-table4 could be measured"),
    ],
)
def test_one_line_for_each_mistake(tmp_path, arguments, message):
    ours = row("box", "miou", 77.6, 77.0, 78.0, "sam_vit_h")
    write_run(tmp_path / "RUN", [ours])
    write_run(tmp_path / "STOPPED", [ours], status="running")
    write_run(tmp_path / "OTHER", [[*ours[:3], "efficientvit/7/0123456789ab", *ours[4:]]])
    places = [str(tmp_path / word) if word.isupper() and not word.startswith("-") else word for word in arguments]
    done = invoke("reproduce", *places)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_detections_without_a_use_are_refused(sample_folder):
    boxes = sample_folder / "detections.json"
    done = invoke("reproduce", "efficientsam-table4", "--data", sample_folder, "--detections", boxes)
    assert isinstance(done.exception, InputError)
    assert "takes a detector's boxes" in str(done.exception)


def test_what_is_missing_is_named_with_the_command_that_gets_it(sample_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    done = invoke("reproduce", "efficientsam-table5", "--data", sample_folder, "--models", "sam_vit_h")
    assert isinstance(done.exception, InputError)
    assert "ViTDet-H's: --detections FILE (coco_vitdet.json" in done.output
    done = invoke("reproduce", "efficientsam-table4", "--data", sample_folder)
    assert "missing: sambench weights fetch sam_vit_h" in done.output
    assert "its weights aren't published" in done.output


def test_a_real_run(sample_folder, tmp_path):
    """Random weights on a drawn scene: measured and shown, and not judged; read again without a model."""
    out, name = tmp_path / "run", "efficientsam-table4"
    arguments = ["--data", sample_folder, "--limit", 1, "--weights", "random", "--device", "cpu", "--out", out]
    done = invoke("reproduce", name, "--models", "mobile_sam", *arguments)
    assert done.exit_code == 0, done.output
    assert "RANDOM WEIGHTS" in done.output
    found = pd.read_csv(out / f"reproduce-{name}.csv").set_index("id")
    coco = found[found["dataset"] == "COCO val2017"]
    assert set(coco["verdict"]) == {"no verdict"}
    assert coco["ours"].between(0, 100).all()
    assert set(found.drop(coco.index)["verdict"]) == {"not run"}
    again = invoke("reproduce", name, "--models", "mobile_sam", "--from", out)
    assert again.exit_code == 0
    pd.testing.assert_frame_equal(pd.read_csv(out / f"reproduce-{name}.csv").set_index("id"), found)


def test_tables_are_listed_with_what_can_be_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    done = invoke("tables")
    assert done.exit_code == 0
    assert "efficientsam-table4" in done.output
    assert "checkpoints of" in done.output
    assert "of other models" in done.output


def test_csv_says_the_same_each_time(tmp_path):
    run = RunResults(write_run(tmp_path, [row("box", "miou", 77.6, 77.0, 78.0, "sam_vit_h")]))
    once, twice = (outcomes_csv(outcomes(cells(table("efficientvit-table3")), run, ALL), run) for _ in range(2))
    assert once == twice
