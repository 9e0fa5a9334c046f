"""Comparisons of two runs, and of two models of one."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

import adapters
from adapters.checkpoints import resolve
from adapters.errors import InputError
from bench.cli.compare import compare as command
from bench.conditions import prepare
from bench.protocols import protocol
from bench.runs.plan import SCHEMA, make_plan
from bench.runs.score import INSTANCES
from tests.bench.latency.records import record, row
from tests.bench.report.runs import write_run
from tests.conftest import read_json

MODELS = ("mobile_sam", "grabcut")


def run_folder(folder, dataset, better, rules="efficientvit", models=MODELS, tasks=("box", "click")):
    """Write the folder of a finished run in which each model is better by so many points than it is elsewhere."""
    chosen = {name: resolve(adapters.card(name), "random" if name == "mobile_sam" else None) for name in models}
    plan = make_plan(chosen, dataset, [protocol(rules)], list(tasks), None, prepare("cpu", "fp32"))
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


def test_everything_is_compared_by_what_is_found_of_each_object(tmp_path, capsys):
    folder = write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"), tasks=("box",), seed=3)
    command(folder, models="sam_vit_h,mobile_sam")
    lines = capsys.readouterr().out.splitlines()
    values = pd.read_csv(folder / "results.csv").pivot_table(index="metric", columns="model", values="value")
    for limit in (10, 100, 1000):
        [line] = [line for line in lines if line.startswith(f"efficientvit everything AR@{limit}: ")]
        difference = values["sam_vit_h"][f"ar{limit}"] - values["mobile_sam"][f"ar{limit}"]
        assert f"sam_vit_h is better than mobile_sam by {difference:.1f} [" in line


@pytest.fixture
def fewer(tmp_path):
    """Return the file of a protocol with other limits than its preset's."""
    file = tmp_path / "fewer.toml"
    file.write_text('from = "efficientvit"\n[everything]\nlimits = [10, 300]\n')
    return str(file)


def test_two_protocols_are_compared_at_the_limits_that_both_have(tmp_path, fewer, capsys):
    runs = [write_run(tmp_path / rules[-8:], rules=rules, tasks=("box",), seed=seed)
            for rules, seed in (("efficientvit", 1), (fewer, 2))]  # fmt: skip
    command(*runs, protocols="efficientvit,fewer")
    said = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["mobile_sam, box mIoU", "mobile_sam, everything AR@10", "grabcut, box mIoU"]


def test_what_only_one_has_or_no_object_has_a_number_of_is_named(tmp_path, capsys):
    runs = [write_run(tmp_path / tasks[1], ("mobile_sam",), tasks=tasks, everything=tasks[1] == "click1")
            for tasks in (("box", "click1"), ("box", "click3"))]  # fmt: skip
    command(*runs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "left out: mobile_sam, efficientvit click3: not done by base",
        "left out: mobile_sam, efficientvit click1, efficientvit everything: not done by new",
    ]


def test_a_run_from_before_objects_had_recalls(tmp_path, capsys):
    folder = write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"), tasks=("box",))
    rows = pd.read_parquet(folder / "instances.parquet")
    schema = pa.schema([field for field in INSTANCES if field.name != "recalls"])
    rows = rows[rows["task"] != "everything"]
    pq.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False), folder / "instances.parquet")
    command(folder, models="mobile_sam,sam_vit_h")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("efficientvit box mIoU: sam_vit_h is better")
    assert lines[1].startswith("left out: efficientvit everything: ")
    assert "holds no recall of single objects" in lines[1]


def test_everything_by_boxes_of_two_detectors_is_not_put_down_to_the_model(tmp_path):
    runs = [write_run(tmp_path / digest, ("mobile_sam",), (), rules="proposals-objects", boxes=digest * 64)
            for digest in "ab"]  # fmt: skip
    with pytest.raises(InputError, match=f"by boxes of boxes.json {'a' * 12} there, of boxes.json {'b' * 12} here"):
        command(*runs)


def test_what_is_replaced_on_one_side_is_said_of_its_model(tmp_path, capsys):
    for name, replaced in (("one", {}), ("two", {"grabcut": ("points.next=random",)})):
        write_run(tmp_path / name, tasks=("click1",), everything=False, replaced=replaced)
    command(tmp_path / "one", tmp_path / "two")
    [note] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert note == "note: efficientvit click1: what grabcut can't do is replaced on one side alone"


def test_two_models_of_two_runs(runs, tmp_path, sample, capsys):
    worse = run_folder(tmp_path / "worse", sample, {"mobile_sam": -20.0, "grabcut": 0.0})
    command(runs[0], worse, models="grabcut,mobile_sam")
    assert "efficientvit box mIoU: grabcut is better than mobile_sam by 19.9 [" in capsys.readouterr().out
    command(runs[0], runs[0], models="grabcut,mobile_sam")
    assert "efficientvit box mIoU: grabcut and mobile_sam can't be told apart" in capsys.readouterr().out
    with pytest.raises(InputError, match="one of the first run, one of the second"):
        command(*runs, models="grabcut")


def test_two_protocols_of_two_runs(runs, tmp_path, sample, capsys):
    """The runs' instances are the same but for the difference asked for, whatever the protocol."""
    other = run_folder(tmp_path / "other", sample, {"mobile_sam": 3.0, "grabcut": 0.0}, "hq", tasks=("box",))
    command(runs[0], other, protocols="efficientvit,hq")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mobile_sam, box mIoU: hq is above efficientvit by 3.0 [")
    assert any(line.startswith("grabcut, box mIoU: efficientvit and hq can't be told apart") for line in lines)
    assert lines[2:] == [
        "note: mIoU: efficientvit averages by instance, hq by image; here both by instance",
        "left out: mobile_sam, click1, click3, click5: not done by hq",
        "left out: grabcut, click1, click3, click5: not done by hq",
    ]
    command(runs[0], other, protocols="efficientvit,hq", models="mobile_sam,mobile_sam")
    out = capsys.readouterr().out
    assert "grabcut" not in out
    assert out.count("mobile_sam, box mIoU") == 1
    for protocols, models, said in (
        ("efficientvit", None, "--protocols takes two"),
        ("efficientvit,hq", "sam", "unknown model"),
        ("efficientvit,efficientvit", None, "--protocols takes two"),
        ("efficientvit,hq,edgesam", None, "--protocols takes two"),
        ("hq,efficientvit", None, "unknown protocol"),
    ):
        with pytest.raises(InputError, match=said):
            command(runs[0], other, protocols=protocols, models=models)
    with pytest.raises(InputError, match="--protocols takes two"):
        command(runs[0], protocols="efficientvit,efficientvit")


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
    with pytest.raises(InputError, match="--protocols belongs to a run"):
        command(tmp_path / "latency.json", protocols="a,b")
