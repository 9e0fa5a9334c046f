"""A run from the command line: its files, its counts, its errors, and what a kill leaves."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from bench.runs.score import LATENCY_COLUMNS, RESULT_COLUMNS
from tests.conftest import read_json

TASKS = "box,click,detector_box"


def sambench(*arguments: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def run_arguments(folder: Path, out: Path) -> list[object]:
    detections = folder / "detections.json"
    return ["run", "--models", "grabcut", "--data", folder, "--tasks", TASKS, "--detections", detections,
            "--device", "cpu", "--out", out]  # fmt: skip


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


def one_line(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Hold a refused command to one clear line and exit 2."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("sambench: ")
    for word in said:
        assert word in lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--data": "nowhere"}, ["nowhere", "images/ with annotations.json"]),
        ({"--models": "grabcat"}, ["grabcat", "did you mean 'grabcut'"]),
        ({"--tasks": "boxes"}, ["boxes", "did you mean 'box'"]),
        ({"--protocol": "efficient"}, ["efficient", "efficientvit"]),
        ({"--device": "cuda"}, ["cuda", "CUDA devices"]),
        ({"--device": "cuda:"}, ["cuda or cuda:N needed"]),
        ({"--dtype": "fp8"}, ["fp8", "did you mean 'fp32'"]),
        ({"--dtype": "fp16"}, ["fp16 overflows on a CPU"]),
        ({"--limit": "few"}, ["--limit"]),
        ({"--tasks": ""}, ["no task"]),
        ({"--models": " , "}, ["no model"]),
        ({"--tasks": "box"}, ["--detections", "detector_box isn't among"]),
        ({"--weights": "x=y"}, ["x=y"]),
        ({"--limit": "0"}, ["--limit 0"]),
        ({"--detections": "nowhere.json"}, ["nowhere.json"]),
    ],
)
def test_wrong_use_gets_one_line_and_writes_nothing(sample_folder, tmp_path, changes, said):
    import torch

    if "cuda" in str(changes) and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    arguments = run_arguments(sample_folder, tmp_path / "out")
    for option, value in changes.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = value
        else:
            arguments += [option, value]
    one_line(sambench(*arguments), *said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--model", "grabcut"], "--models"),
        (["rum"], "run"),
        (["run", "extra"], "extra"),
        (["weights", "fetch", "x"], "x"),
    ],
)
def test_a_mistyped_command_gets_one_line(arguments, said):
    one_line(sambench(*arguments), said)


@pytest.mark.parametrize("out", ["/proc/nowhere/out", "/dev/null/out"])
def test_a_place_that_cannot_be_written_to_gets_one_line(sample_folder, out):
    one_line(sambench(*run_arguments(sample_folder, Path(out))), out.split("/")[1])


def test_brackets_in_a_name_are_only_brackets(sample_folder, tmp_path):
    done = sambench("run", "--models", "grabcut", "--data", sample_folder, "--tasks", "box", "--limit", 1,
                    "--out", tmp_path / "a[b] [/x]")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "a[b] [/x]/results.csv" in done.stdout


@pytest.fixture
def broken(sample_folder, tmp_path):
    """Return a copy of the scenes to break."""
    folder = tmp_path / "scenes"
    shutil.copytree(sample_folder, folder)
    return folder


def test_annotations_that_are_not_json(broken, tmp_path):
    (broken / "annotations.json").write_text("[")
    one_line(sambench(*run_arguments(broken, tmp_path / "out")), "annotations.json", "not JSON")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_an_unusable_image_stops_the_run_or_is_counted(broken, tmp_path, how):
    path = broken / "images" / "000003.png"
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:20_000])
    out = tmp_path / "out"
    one_line(sambench(*run_arguments(broken, out)), "000003.png", "--keep-going")
    assert not out.exists()
    done = sambench(*run_arguments(broken, out), "--keep-going")
    assert done.returncode == 0, done.stderr
    assert "image couldn't be read" in done.stdout
    for counts in read_json(out / "run.json")["counts"]["grabcut"]["efficientvit"].values():
        assert counts["skipped"]["image couldn't be read"] > 0
        assert counts["n_total"] == counts["n_scored"] + sum(counts["skipped"].values())


def test_a_detection_outside_its_image_stops_the_run_or_is_counted(broken, tmp_path):
    detections = read_json(broken / "detections.json")
    detections[5]["bbox"] = [700, 10, 40, 40]
    (broken / "detections.json").write_text(json.dumps(detections))
    out = tmp_path / "out"
    one_line(sambench(*run_arguments(broken, out)), "detection 5", "outside the 640x480 image", "--keep-going")
    assert not out.exists()
    done = sambench(*run_arguments(broken, out), "--keep-going")
    assert done.returncode == 0, done.stderr
    counts = read_json(out / "run.json")["counts"]["grabcut"]["efficientvit"]["detector_box"]
    assert counts["skipped"] == {"its box is empty or outside the image, or its score no number": 1}


def test_an_annotation_outside_its_image(broken, tmp_path):
    content = read_json(broken / "annotations.json")
    content["annotations"][0]["bbox"] = [700, 10, 80, 40]
    (broken / "annotations.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    one_line(sambench(*run_arguments(broken, out)), "annotation 1", "outside the 640x480 image", "--keep-going")
    assert not out.exists()
    done = sambench(*run_arguments(broken, out), "--keep-going")
    assert done.returncode == 0, done.stderr
    counts = read_json(out / "run.json")["counts"]["grabcut"]["efficientvit"]
    assert counts["box"]["skipped"] == counts["click1"]["skipped"] == {"the annotation can't be used": 1}


@pytest.mark.parametrize(
    "records",
    [{}, [1], [{}], [{"image_id": [], "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}],
     [{"image_id": 1, "category_id": 1, "bbox": None, "score": 1}],
     [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5], "score": 1}],
     [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "score": float("nan")}],
     [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 1e-17, 5], "score": 1}],
     [{"image_id": 999, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}]],
)  # fmt: skip
def test_detections_that_are_none_get_one_line(broken, tmp_path, records):
    (broken / "detections.json").write_text(json.dumps(records))
    one_line(sambench(*run_arguments(broken, tmp_path / "out")), "detections.json")
    assert not (tmp_path / "out").exists()


def test_a_run_stopped_by_an_image_goes_on_when_it_is_mended_or_left_out(broken, tmp_path):
    """Damage in the middle of a file isn't seen before the run."""
    path, out = broken / "images" / "000003.png", tmp_path / "out"
    whole = path.read_bytes()
    path.write_bytes(whole[:20_000] + b"\0" * 2_000 + whole[22_000:])
    one_line(sambench(*run_arguments(broken, out)), "000003.png", "--keep-going")
    assert read_json(out / "run.json")["status"] == "stopped"
    shutil.copytree(out, tmp_path / "left_out")
    path.write_bytes(whole)
    assert sambench(*run_arguments(broken, out)).returncode == 0
    path.write_bytes(whole[:20_000] + b"\0" * 2_000 + whole[22_000:])
    done = sambench(*run_arguments(broken, tmp_path / "left_out"), "--keep-going")
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "left_out" / "run.json")["unread"].keys() == {"3"}


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


def test_a_detection_of_a_class_the_data_does_not_have(broken, tmp_path):
    detections = read_json(broken / "detections.json")
    detections[0]["category_id"] = 99
    (broken / "detections.json").write_text(json.dumps(detections))
    one_line(sambench(*run_arguments(broken, tmp_path / "out")), "detection 0", "category 99")


def test_a_folder_that_holds_another_run(finished, sample_folder):
    out, _ = finished
    before = (out / "run.json").read_bytes()
    one_line(sambench(*run_arguments(sample_folder, out)), "another plan", "dataset", "--out")
    assert (out / "run.json").read_bytes() == before


def test_a_folder_that_holds_something_else(sample_folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("do not touch")
    one_line(sambench(*run_arguments(sample_folder, tmp_path)), "holds no run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_of_a_newer_format(finished, sample_folder, tmp_path):
    shutil.copytree(finished[0], tmp_path / "out")
    record = read_json(tmp_path / "out" / "run.json")
    (tmp_path / "out" / "run.json").write_text(json.dumps({**record, "schema_version": 99}))
    one_line(sambench(*run_arguments(sample_folder, tmp_path / "out")), "schema version 99")


def test_a_missing_checkpoint_says_how_to_get_it(sample_folder, tmp_path):
    environment = {**os.environ, "SAMBENCH_CACHE": str(tmp_path / "cache")}
    arguments = run_arguments(sample_folder, tmp_path / "out")
    arguments[arguments.index("grabcut")] = "mobile_sam"
    one_line(sambench(*arguments, env=environment, stdin=subprocess.DEVNULL), "sambench weights fetch mobile_sam")


def test_a_wrong_checkpoint_is_refused(sample_folder, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"something else")
    arguments = [*run_arguments(sample_folder, tmp_path / "out"), "--weights", f"mobile_sam={tmp_path}/model.pt"]
    arguments[arguments.index("grabcut")] = "mobile_sam"
    one_line(sambench(*arguments), "wrong hash", "--allow-unknown-hash")
    one_line(sambench(*arguments, "--allow-unknown-hash"), "can't be read as a checkpoint")
    assert not (tmp_path / "out").exists()


def test_the_checkpoint_of_another_model_is_refused(sample_folder, tmp_path):
    import torch

    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other.pt")
    arguments = [*run_arguments(sample_folder, tmp_path / "out"), "--weights", f"efficient_sam_ti={tmp_path}/other.pt"]
    arguments[arguments.index("grabcut")] = "efficient_sam_ti"
    arguments[arguments.index(TASKS)] = "detector_box"
    one_line(sambench(*arguments, "--allow-unknown-hash"), "checkpoint of another model", "keys missing", "weight")
    assert not (tmp_path / "out").exists()


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
