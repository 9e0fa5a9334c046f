"""sambench latency from the outside: its file, its table, its errors, what a kill leaves and how it goes on."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bench.latency
from bench.latency.record import read
from tests.bench.latency.conftest import environment
from tests.conftest import read_json

QUICK = ("--device", "cpu", "--samples", 3, "--seconds", 0.01, "--processes", 1)
ROW = {"model", "weights", "device", "dtype", "runtime", "stage", "n_prompts", "batch", "status", "reason", "first_s",
       "compile_s", "warmups", "settled", "samples", "host_samples", "pulses", "processes", "beats", "median",
       "p90", "p99", "low", "high", "peak_rss_mb", "peak_cuda_mb", "parameters", "macs", "output_check",
       "masks_digest"}  # fmt: skip


def arguments(folder, out, *more, models="sleeping", stages="preprocess,encode,decode_box8,end_to_end"):
    return ["latency", "--models", models, "--data", folder, "--stages", stages, "--out", out, *QUICK, *more]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "latency.json"


def test_file_and_table(sambench, image_folder, out):
    done = sambench(*arguments(image_folder, out, "--prompts", "1,10"))
    assert done.returncode == 0, done.stderr
    content = read_json(out)
    assert (content["kind"], content["schema_version"], content["status"], content["error"]) == (
        "latency", 2, "complete", None)  # fmt: skip
    assert content["started"] <= content["finished"]
    assert {"cpu", "cores", "gpu", "system", "memory_gb"} <= content["machine"].keys()
    kept = {"versions", "threads", "tf32", "cudnn_benchmark", "memory_kept", "gc_disabled", "governor"}
    assert kept <= content["environment"].keys()
    assert content["environment"]["load_average_after"] is not None
    assert len(content["settings"]["images"]) == 6
    rows = content["rows"]
    assert [row["stage"] for row in rows] == [
        "preprocess", "encode", "decode_box8", "end_to_end", "decode_points1", "decode_points10"]  # fmt: skip
    assert all(set(row) == ROW and row["status"] == "measured" and len(row["samples"]) == 3 for row in rows)
    assert [row["n_prompts"] for row in rows] == [0, 0, 8, 1, 1, 10]
    assert "decode_points10" in done.stdout
    assert "first call" in done.stdout


def test_killed_in_the_middle_it_keeps_what_it_has_and_goes_on(image_folder, out):
    command = [sys.executable, "-m", "bench", *map(str, arguments(image_folder, out))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment())
    until = time.monotonic() + 60
    while not (out.exists() and any(row.status == "measured" for row in read(out).rows)):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = read(out)
    assert left.status == "running"
    had = {row.stage: row.samples for row in left.rows if row.status == "measured"}
    assert had
    assert left.missing
    assert {row.stage for row in left.missing} | set(had) == {"preprocess", "encode", "decode_box8", "end_to_end"}
    subprocess.run(command, check=True, capture_output=True, env=environment())
    now = read(out)
    assert (now.status, now.missing) == ("complete", [])
    assert {row.stage: row.samples for row in now.rows if row.stage in had} == had


def test_rows_that_a_killed_process_leaves_are_missing(sambench, image_folder, out):
    done = sambench(*arguments(image_folder, out, models="dying,sleeping", stages="decode_box1,decode_box8"))
    assert done.returncode == 1
    record = read(out)
    assert [row.status for row in record.rows] == ["measured", "missing", "measured", "measured"]
    assert record.status == "stopped"
    assert "SIGKILL" in record.rows[1].reason
    assert "not measured yet: dying cpu fp32 eager decode_box8" in done.stdout


def test_a_failed_stage_is_told(sambench, image_folder, out):
    done = sambench(*arguments(image_folder, out, models="raising", stages="decode_box1,decode_box8"))
    assert done.returncode == 1
    assert [row.status for row in read(out).rows] == ["measured", "failed"]
    assert "failed: raising cpu fp32 eager decode_box8: RuntimeError: out of memory" in done.stdout


def test_more_stages_join_the_file_but_other_settings_need_another(sambench, image_folder, out):
    assert sambench(*arguments(image_folder, out, stages="decode_box1")).returncode == 0
    first = read(out).rows[0]
    assert sambench(*arguments(image_folder, out, stages="decode_box1,decode_box8")).returncode == 0
    assert [row.stage for row in read(out).rows] == ["decode_box1", "decode_box8"]
    assert read(out).rows[0] == first
    done = sambench(*arguments(image_folder, out, "--samples", 4, stages="decode_box1"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "settings.samples is 3 there, 4 now" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--models", "mobile_sma"), "did you mean 'mobile_sam'"),
        (("--stages", "encoder"), "did you mean 'encode'"),
        (("--runtime", "onnx"), "did you mean 'onnxruntime'"),
        (("--dtype", "fp23"), "did you mean 'fp32'"),
        (("--device", "gpu"), "cpu, cuda or cuda:N"),
        (("--samples", "0"), "--samples"),
        (("--seconds", "0"), "--seconds"),
        (("--batches", "1,x"), "--batches 1,x: whole numbers"),
        (("--prompts", "0"), "at least 1"),
        (("--data", "/nowhere"), "no folder /nowhere"),
        (("--stages", ","), "names no stage"),
        (("--models", "grabcut", "--stages", "encode,everything_16"), "grabcut has no"),
    ],
)
def test_mistakes_get_one_line(sambench, image_folder, out, wrong, told):
    done = sambench(*arguments(image_folder, out), *wrong)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("nonsense", "is not JSON"),
        ("{}", "holds no latency measurement"),
        ('{"kind": "latency", "schema_version": 9}', "schema version 9"),
        ('{"kind": "latency", "schema_version": 1}', "started"),
    ],
)
def test_files_from_elsewhere_get_one_line(sambench, image_folder, out, content, told):
    out.write_text(content)
    done = sambench(*arguments(image_folder, out))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert out.read_text() == content


def test_it_knows_no_ground_truth_and_no_metric():
    foreign = ("bench.metrics", "bench.datasets", "bench.protocols")
    for file in Path(bench.latency.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith(foreign)], file.name
