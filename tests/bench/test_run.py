"""A run from the command line: its files, its counts, and what a kill leaves."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pyarrow.parquet as pq
import pytest

from bench.runs.score import LATENCY_COLUMNS, RESULT_COLUMNS
from tests.bench.command import TASKS, one_line, run_arguments, sambench
from tests.conftest import read_json


@pytest.fixture(scope="module")
def many_scenes(sample_folder, tmp_path_factory):
    """Return a folder of 20 images, three shards: the four scenes five times over, two objects of each."""
    folder = tmp_path_factory.mktemp("many") / "many"
    shutil.copytree(sample_folder / "images", folder / "images")
    content = read_json(sample_folder / "annotations.json")
    images = content["images"]
    annotations, detections = (
        [record for image in images for record in [r for r in records if r["image_id"] == image["id"]][:2]]
        for records in (content["annotations"], read_json(sample_folder / "detections.json"))
    )
    shifts = [len(images) * repeat for repeat in range(5)]
    content["images"] = [{**image, "id": image["id"] + shift} for shift in shifts for image in images]
    moved = [{**record, "image_id": record["image_id"] + shift} for shift in shifts for record in annotations]
    content["annotations"] = [{**record, "id": number} for number, record in enumerate(moved, 1)]
    found = [{**record, "image_id": record["image_id"] + shift} for shift in shifts for record in detections]
    (folder / "annotations.json").write_text(json.dumps(content))
    (folder / "detections.json").write_text(json.dumps(found))
    return folder


@pytest.fixture(scope="module")
def finished(many_scenes, tmp_path_factory):
    """Return the folder of a run that was never interrupted, and what it printed."""
    out = tmp_path_factory.mktemp("run") / "out"
    done = sambench(*run_arguments(many_scenes, out))
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_files_are_as_agreed(finished):
    out, _ = finished
    record = read_json(out / "run.json")
    assert record["schema_version"] == 2
    assert record["status"] == "complete"
    plan = record["plan"]
    assert {"models", "dataset", "protocols", "conditions"} <= plan.keys()
    with (out / "results.csv").open() as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == RESULT_COLUMNS
    assert {row[4] for row in rows[1:]} == {"box", "click1", "click3", "click5", "detector_box"}
    assert tuple(pd.read_csv(out / "latency.csv").columns) == LATENCY_COLUMNS
    instances = pq.read_table(out / "instances.parquet").to_pandas()
    assert {"model", "task", "image_id", "annotation_id", "area", "iscrowd", "iou", "iou_single", "iou_oracle"} <= set(
        instances.columns
    )
    assert (out / "detections" / "grabcut-efficientvit-detector_box.json").exists()


def test_numbers_follow_from_instances(finished):
    out, _ = finished
    results = pd.read_csv(out / "results.csv")
    instances = pd.read_parquet(out / "instances.parquet")
    for task, own in instances.groupby("task"):
        row = results[(results["task"] == task) & (results["metric"] == "miou")].iloc[0]
        assert row["value"] == pytest.approx(own["iou"].mean())
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == len(own)


def test_counts_add_up(finished):
    out, _ = finished
    for counts in read_json(out / "run.json")["counts"]["grabcut"]["efficientvit"].values():
        assert counts["n_total"] == counts["n_scored"] + sum(counts["skipped"].values())
        assert counts["n_scored"] > 0


def test_the_table_names_what_the_numbers_belong_to(finished):
    _, printed = finished
    for said in ("grabcut", "efficientvit version 1", "NOT comparable with papers", "cpu", "fp32", "bootstrap"):
        assert said in printed


def test_detections_carry_no_boxes(finished):
    out, _ = finished
    detections = read_json(out / "detections" / "grabcut-efficientvit-detector_box.json")
    assert all("bbox" not in found and "segmentation" in found for found in detections)


def test_a_finished_run_is_not_run_again(finished, many_scenes):
    out, printed = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    again = sambench(*run_arguments(many_scenes, out))
    assert again.returncode == 0
    assert again.stdout == printed
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == before


@pytest.mark.parametrize("shards_before_kill", [None, 0, 1, 2])
def test_a_killed_run_ends_with_the_same_bytes(finished, many_scenes, tmp_path, shards_before_kill):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bench", *map(str, run_arguments(many_scenes, out))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        begun = (out / ("shards" if shards_before_kill is None else "run.json")).exists()
        if begun and len(list(out.glob("shards/grabcut-*.json"))) >= (shards_before_kill or 0):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if shards_before_kill is not None:
        assert read_json(out / "run.json")["status"] == "running"
    (out / "shards" / ".grabcut-00002.json.cut.part").write_text('{"rows": [')
    done = sambench(*run_arguments(many_scenes, out))
    assert done.returncode == 0, done.stderr
    for name in ("instances.parquet", "results.csv"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes()
    assert not list(out.rglob("*.part"))


def test_results_that_were_deleted_are_made_again_from_the_shards(finished, many_scenes, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    (out / "results.csv").unlink()
    assert sambench(*run_arguments(many_scenes, out)).returncode == 0
    assert (out / "results.csv").read_bytes() == (finished[0] / "results.csv").read_bytes()


def test_an_interrupted_run_says_so_in_a_line(many_scenes, tmp_path):
    command = [sys.executable, "-m", "bench", *map(str, run_arguments(many_scenes, tmp_path / "out"))]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what starts the tests may ignore it
    )
    while not (tmp_path / "out" / "run.json").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr.read().splitlines() == ["sambench: stopped; the same command goes on where it stopped"]
    assert process.wait() == 130


def test_a_folder_that_holds_another_run(finished, sample_folder):
    out, _ = finished
    before = (out / "run.json").read_bytes()
    one_line(sambench(*run_arguments(sample_folder, out)), "another plan", "dataset", "--out")
    assert (out / "run.json").read_bytes() == before


def test_a_run_of_a_newer_format(finished, sample_folder, tmp_path):
    shutil.copytree(finished[0], tmp_path / "out")
    record = read_json(tmp_path / "out" / "run.json")
    (tmp_path / "out" / "run.json").write_text(json.dumps({**record, "schema_version": 99}))
    one_line(sambench(*run_arguments(sample_folder, tmp_path / "out")), "schema version 99")


def test_random_weights_are_labelled(sample_folder, tmp_path):
    arguments = run_arguments(sample_folder, tmp_path / "out")
    arguments[arguments.index("grabcut")] = "mobile_sam"
    arguments[arguments.index(TASKS)] = "detector_box"
    done = sambench(*arguments, "--weights", "random", "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert "RANDOM WEIGHTS" in done.stdout
    assert set(pd.read_csv(tmp_path / "out" / "results.csv")["weights"]) == {"random"}


def test_what_a_model_cannot_do_is_said(sample_folder, tmp_path):
    arguments = run_arguments(sample_folder, tmp_path / "out")
    del arguments[arguments.index("--detections") : arguments.index("--detections") + 2]
    arguments[arguments.index("grabcut")] = "efficient_sam_ti"
    arguments[arguments.index(TASKS)] = "click,noc"
    protocols = "efficientvit,ritm-noc"
    done = sambench(*arguments, "--weights", "random", "--limit", 1, "--protocol", protocols)
    assert done.returncode == 0, done.stderr
    assert "efficient_sam_ti, ritm-noc: noc85 not run: it takes no negative clicks" in done.stdout
    assert "efficient_sam_ti, efficientvit: click3 with points.next=random instead" in done.stdout
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    marked = {
        task: set(own["protocol"].str.endswith(";replaced: points.next=random"))
        for task, own in results.groupby("task")
    }
    assert marked == {"click1": {False}, "click3": {True}, "click5": {True}}
    instances = pd.read_parquet(tmp_path / "out" / "instances.parquet")
    replaced = instances.groupby("task")["replaced"].unique().map(lambda own: own.fillna("")[0]).to_dict()
    assert replaced == {"click1": "", "click3": "points.next=random", "click5": "points.next=random"}


@pytest.mark.parametrize("command", [["models"], ["protocols"], ["weights", "list"], ["--help"], ["run", "--help"]])
def test_commands_that_only_tell(command):
    done = sambench(*command)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
