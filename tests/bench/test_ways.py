"""Ways to segment everything as protocols: their knobs, whose boxes they ask by, and how a run tells them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import adapters
from adapters.checkpoints import resolve
from adapters.errors import InputError
from adapters.everything import PROPOSALS, Boxes
from adapters.ways.grid import PointGrid
from adapters.ways.hierarchical import Hierarchical
from adapters.ways.objects import ObjectBoxes
from bench.cli.run import run_folder
from bench.conditions import prepare
from bench.metrics.average_recall import Recall
from bench.metrics.reference import ground_truth
from bench.protocols import protocol
from bench.protocols.tasks import detector_of, takes_detections
from bench.report.page.figures import ways as drawn
from bench.report.read import read_run
from bench.report.study import studies
from bench.report.table import print_run
from bench.report.ways import ways
from bench.runs.abilities import obstacle
from bench.runs.detections import read_detections
from bench.runs.plan import Job, make_plan
from bench.runs.recalls import object_rows, with_recalls
from bench.ways import check_detector, finder, way
from tests.conftest import read_json

RESULTS = Path(__file__).parents[2] / "results"
BOTH = ("proposals-objects", "fewer")
FEWER = 'from = "proposals-objects"\n[everything]\nmax_detections = 2\n'


def test_presets_say_which_way():
    grid, coarse, rounds, objects, detected, v2 = (
        way(protocol(name).everything)
        for name in ("proposals-grid32", "proposals-grid16", "proposals-hierarchical", "proposals-objects",
                     "proposals-objects-yolov8n", "mobilesamv2")
    )  # fmt: skip
    assert grid == PointGrid(PROPOSALS)
    assert (coarse.settings.points_per_side, coarse.settings.box_nms) == (16, 0.9)
    assert rounds == Hierarchical(PROPOSALS, 8.5)
    assert isinstance(objects, ObjectBoxes)
    assert detected.settings.max_detections == 1000
    assert (v2.settings.confidence, v2.settings.detector_nms, v2.settings.max_detections) == (0.4, 0.9, 300)


def test_protocols_without_a_way_keep_their_digest():
    """Those of the kept runs, presets or files beside them, most of them from before there were ways."""
    kept = {
        (file.parent, name.partition(";")[0])
        for file in RESULTS.glob("*/*/*/results.csv")
        for name in pd.read_csv(file)["protocol"].unique()
    }
    assert len(kept) >= 6
    for folder, identity in kept:
        name = identity.partition("/")[0]
        own = folder / f"{name}.toml"
        assert protocol(str(own) if own.is_file() else name).identity == identity
    assert protocol("proposals-hierarchical").digest != protocol("proposals-grid32").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('way = "crops"', ["everything.way: 'crops' isn't one of grid, hierarchical, objects"]),
        ('way = "objects"\ncrop_layers = 1', ["everything", "crop_layers and min_region are a grid's"]),
        ('way = "hierarchical"\npoints_per_side = 3', ["points_per_side: the hierarchical way needs 4 or more"]),
        ("crop_layers = 9", ["everything.crop_layers", "9"]),
        ("crop_layer = 1", ["everything.crop_layer: there is no such knob", "did you mean crop_layers?"]),
        ("high_score = inf", ["everything.high_score", "finite"]),
    ],
)
def test_a_wrong_knob_gets_a_line(tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(f'from = "proposals-grid32"\n[everything]\n{text}\n')
    with pytest.raises(InputError) as error:
        protocol(str(tmp_path / "mine.toml"))
    for words in said:
        assert words in str(error.value)


def test_crops_are_a_knob(tmp_path):
    knobs = "points_per_side = 4\ncrop_layers = 2\ncrop_points_factor = 2\nmin_region = 100\n"
    (tmp_path / "mine.toml").write_text(f'from = "efficientvit"\n[everything]\n{knobs}')
    own = way(protocol(str(tmp_path / "mine.toml")).everything)
    assert isinstance(own, PointGrid)
    assert (own.crop_layers, own.crop_points_factor, own.min_region, own.crop_nms) == (2, 2, 100, 0.7)
    assert own.settings.points_per_side == 4


def test_whose_boxes():
    objects, detected = protocol("proposals-objects"), protocol("proposals-objects-yolov8n")
    assert takes_detections(objects, "everything")
    assert detector_of(objects, "everything") is None
    assert not takes_detections(detected, "everything")
    assert detector_of(detected, "everything") == "yolov8n_seg"
    assert not takes_detections(protocol("sam-paper"), "everything")
    few = objects.everything.model_copy(update={"confidence": 0.5})
    given = Boxes(pd.DataFrame([[0, 0, 9, 9], [1, 1, 8, 8]]).to_numpy(float), pd.Series([0.4, 0.6]).to_numpy())
    assert finder(few, given, {})(None).confidence.tolist() == [0.6]
    assert finder(protocol("sam-paper").everything, given, {}) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("yolov8n", "did you mean 'yolov8n_seg'"), ("mobile_sam", "mobile_sam finds no boxes; known: det")],
)
def test_a_detector_that_is_none_gets_a_line(name, said):
    with pytest.raises(InputError, match=f"mine: everything.boxes: .*{said}"):
        check_detector(name, "mine: everything.boxes")


@pytest.mark.parametrize(
    ("model", "name", "why"),
    [
        ("mobile_sam_v2", "proposals-grid16", "it takes no points"),
        ("mobile_sam_v2", "proposals-hierarchical", "it takes no points"),
        ("mobile_sam_v2", "mobilesamv2", None),
        ("mobile_sam", "proposals-hierarchical", None),
        ("fast_sam_s", "proposals-grid16", None),
        ("fast_sam_s", "proposals-hierarchical", "it detects"),
        ("grabcut", "proposals-grid16", "no everything mode"),
        ("grabcut", "proposals-objects", None),
    ],
)
def test_what_a_model_cannot_do_is_left_out(model, name, why):
    found = obstacle(adapters.card(model), protocol(name), "everything")
    assert (found is None) == (why is None)
    assert why is None or why in found


def test_boxes_that_are_missing_or_not_wanted(sample, sample_folder):
    weights = {"grabcut": resolve(adapters.card("grabcut"))}
    conditions, rules = prepare("cpu", "fp32"), protocol("proposals-objects")
    with pytest.raises(InputError, match=r"proposals-objects: everything\.boxes: a detector's boxes needed"):
        make_plan(weights, sample, [rules], ["everything"], None, conditions)
    detections = read_detections(sample_folder / "detections.json", sample)
    with pytest.raises(InputError, match="--detections is given, but detector_box isn't"):
        make_plan(weights, sample, [protocol("samfast")], ["click"], detections, conditions)
    plan = make_plan(weights, sample, [rules], ["everything"], detections, conditions)
    assert plan.boxes_of(rules, "everything") == f"detections.json {detections.digest[:12]}"
    assert plan.boxes_of(protocol("sam-paper"), "everything") == ""


@pytest.fixture(scope="module")
def run(sample_folder, tmp_path_factory):
    """Return the folder of a run of GrabCut on a detector's boxes, all of them and the best two of an image."""
    folder = tmp_path_factory.mktemp("ways")
    (folder / "fewer.toml").write_text(FEWER)
    names = ["proposals-objects", str(folder / "fewer.toml")]
    file = sample_folder / "detections.json"
    return run_folder(["grabcut"], str(sample_folder), ["everything"], names, file, device="cpu", out=folder / "out")


def test_rows_name_whose_boxes_and_samples_name_their_protocol(run, sample_folder):
    digest = read_run(run).plan.detections.digest[:12]
    rows = pd.read_csv(run / "results.csv")
    assert set(rows["protocol"].str.partition(";")[2]) == {f"boxes: detections.json {digest}"}
    assert {name.partition("/")[0] for name in rows["protocol"]} == set(BOTH)
    named = rows.assign(name=rows["protocol"].str.partition("/")[0])
    made = named[named["metric"] == "proposals"].set_index("name")["value"]
    boxes = json.loads((sample_folder / "detections.json").read_bytes())
    assert made["proposals-objects"] == pytest.approx(len(boxes) / 4)
    assert made["fewer"] == 2
    samples = pd.read_csv(run / "latency.csv", keep_default_na=False)
    everything = samples[samples["stage"].str.endswith("everything")]
    assert everything["protocol"].value_counts().to_dict() == dict.fromkeys(BOTH, 4)
    assert set(samples[~samples["stage"].str.endswith("everything")]["protocol"]) == {""}
    assert "decode" not in set(samples["stage"])


def test_objects_have_the_recall_that_the_results_are_the_mean_of(run, sample):
    rows, results = pd.read_parquet(run / "instances.parquet"), pd.read_csv(run / "results.csv")
    wanted = {own.id for image in sample.images for own in image.annotations if not own.iscrowd}
    for name in BOTH:
        own = rows[rows["protocol"] == name]
        assert set(own["annotation_id"]) == wanted
        found = with_recalls(own, (10, 100, 1000))
        of_protocol = results[results["protocol"].str.startswith(f"{name}/")].set_index("metric")["value"]
        for metric in ("ar10", "ar100", "ar1000"):
            assert found[metric].mean() == pytest.approx(of_protocol[metric])


def test_objects_keep_the_numbers_of_their_file(sample_folder, tmp_path):
    """Crowds and unusable annotations have no row; numbers may have gaps."""
    content = read_json(sample_folder / "annotations.json")
    image = content["annotations"][0]["image_id"]
    own = [{**one, "id": 50 + 20 * i} for i, one in enumerate(content["annotations"]) if one["image_id"] == image]
    own[1]["iscrowd"] = 1
    (tmp_path / "annotations.json").write_text(json.dumps({**content, "annotations": own}))
    truth = ground_truth(tmp_path / "annotations.json", [image], leave_out=[own[0]["id"]])
    job = Job(protocol="mine", task="everything", replaced=("x=1",))
    rows = object_rows(job, truth, Recall(truth, [], (10,)))
    assert [row["annotation_id"] for row in rows] == [one["id"] for one in own[2:]]
    assert [row["category_id"] for row in rows] == [one["category_id"] for one in own[2:]]
    assert {(*row["recalls"], row["replaced"], row["iscrowd"]) for row in rows} == {(0.0, "x=1", False)}
    assert len(with_recalls(pd.DataFrame({"recalls": []}), (10,))) == 0


def test_the_report_reads_it(run, capsys):
    found = studies([read_run(run)])
    assert {study.protocol.name for study in found} == set(BOTH)
    assert all(study.boxes.name == "detections.json" for study in found)
    assert all((study.results["replaced"] == "").all() for study in found)
    figure = drawn([read_run(run)], found[0])
    assert figure is not None
    assert "fewer" in figure.caption
    assert drawn([], found[0]) is None
    print_run(run)
    printed = capsys.readouterr().out
    for said in ("what it takes and what it finds", "objects", "a second", "detections.json"):
        assert said in printed


def test_a_published_tables_time_is_of_its_own_protocol(run):
    results = read_run(run).results
    times = {name: results.seconds("grabcut", "everything", name) for name in BOTH}
    assert times["proposals-objects"] != times["fewer"]
    assert results.seconds("grabcut", "everything", "sam-paper") is None


def test_objects_a_second_by_hand():
    """Recall 60 % of 5 objects an image, found in 0.1 + 0.4 + 1.5 seconds."""
    identity, columns = "mine/1/abc;boxes: file 123;replaced: x=1", ["model", "weights", "protocol", "task", "metric"]
    results = pd.DataFrame(
        [["m", "w", identity, "everything", "ar10", 40.0, 39.0, 41.0, 20],
         ["m", "w", identity, "everything", "ar1000", 60.0, 59.0, 61.0, 20],
         ["m", "w", identity, "everything", "ar1000_small", 1.0, 1.0, 1.0, 3],
         ["m", "w", identity, "everything", "proposals", 70.0, 60.0, 80.0, 4],
         ["m", "w", "mine/1/abc", "box", "miou", 70.0, 60.0, 80.0, 4]],
        columns=[*columns, "value", "low", "high", "n"],
    )  # fmt: skip
    samples = [("first_everything", 9.0, "mine"), ("everything", 1.5, "mine"), ("everything", 7.0, "other"),
               ("preprocess", 0.1, ""), ("encode", 0.4, ""), ("first_encode", 5.0, "")]  # fmt: skip
    latency = pd.DataFrame([("m", *one) for one in samples], columns=["model", "stage", "seconds", "protocol"])
    [row] = ways(results, latency).to_dict("records")
    assert (row["model"], row["protocol"], row["boxes"]) == ("m", "mine", "file 123")
    assert row["seconds"] == pytest.approx(2.0)
    assert row["found"] == pytest.approx(0.6 * 5 / 2.0)
    assert (row["ar1000"], row["proposals"]) == (60.0, 70.0)
    old = ways(results, latency.drop(columns="protocol"))
    assert old["seconds"].isna().all()
    assert not len(ways(results[results["task"] == "box"], latency))
