"""A run that is asked for wrongly, or given what can't be used: one line, nothing lost, what is left out counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bench.command import TASKS, one_line, run_arguments, sambench
from tests.conftest import read_json


@pytest.fixture
def broken(sample_folder, tmp_path):
    """Return a copy of the scenes to break."""
    folder = tmp_path / "scenes"
    shutil.copytree(sample_folder, folder)
    return folder


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


def test_a_detection_of_a_class_the_data_does_not_have(broken, tmp_path):
    detections = read_json(broken / "detections.json")
    detections[0]["category_id"] = 99
    (broken / "detections.json").write_text(json.dumps(detections))
    one_line(sambench(*run_arguments(broken, tmp_path / "out")), "detection 0", "category 99")


def test_a_folder_that_holds_something_else(sample_folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("do not touch")
    one_line(sambench(*run_arguments(sample_folder, tmp_path)), "holds no run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


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
