"""What a run writes depends neither on how the images are cut into shards nor on their order."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from adapters.checkpoints import resolve
from adapters.registry import card
from bench.conditions import prepare
from bench.datasets import Dataset, open_dataset
from bench.protocols import protocol
from bench.runs.detections import read_detections
from bench.runs.execute import execute
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.runs.rescore import rescore
from tests.conftest import read_json

FILES = ("results.csv", "instances.parquet", "detections/grabcut-efficientsam-detector_box.json")


@pytest.fixture(scope="module")
def seven(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of seven images, some twice, with an object or two of each, and a detector's boxes."""
    folder = tmp_path_factory.mktemp("whole") / "seven"
    shutil.copytree(sample_folder / "images", folder / "images")
    content = read_json(sample_folder / "annotations.json")
    images = [{**content["images"][n % len(content["images"])], "id": n + 1} for n in range(7)]
    annotations = []
    for n, image in enumerate(images):
        of_scene = content["images"][n % len(content["images"])]["id"]
        own = [record for record in content["annotations"] if record["image_id"] == of_scene][: 1 + n % 2]
        annotations += [
            {**record, "id": len(annotations) + k, "image_id": image["id"]} for k, record in enumerate(own, 1)
        ]
    boxes = [
        {"image_id": own["image_id"], "category_id": own["category_id"], "bbox": own["bbox"], "score": 0.5}
        for own in annotations
    ]
    (folder / "annotations.json").write_text(json.dumps({**content, "images": images, "annotations": annotations}))
    (folder / "detections.json").write_text(json.dumps(boxes))
    return folder


def run(folder: Path, shard_images: int, out: Path) -> tuple[RunFolder, Dataset]:
    """Run GrabCut under three protocols, one of them with random clicks."""
    dataset = open_dataset(folder)
    detections = read_detections(folder / "detections.json", dataset)
    rules = [protocol(name) for name in ("efficientvit", "efficientsam", "edgesam")]
    weights = {"grabcut": resolve(card("grabcut"))}
    plan = make_plan(weights, dataset, rules, ["box", "click1", "detector_box"], detections, prepare("cpu", "fp32"))
    place = RunFolder(out)
    execute(plan.model_copy(update={"shard_images": shard_images}), dataset, weights, detections, place)
    return place, dataset


def test_one_shard_seven_shards_and_another_order(seven, tmp_path):
    whole, _ = run(seven, 7, tmp_path / "whole")
    cut, _ = run(seven, 1, tmp_path / "cut")
    assert len(list((cut.path / "shards").glob("grabcut-*"))) == 7
    turned_data = tmp_path / "turned" / "seven"
    shutil.copytree(seven, turned_data)
    content = read_json(seven / "annotations.json")
    for records in (content["images"], content["annotations"]):
        random.Random(3).shuffle(records)
    (turned_data / "annotations.json").write_text(json.dumps(content))
    turned, dataset = run(turned_data, 2, tmp_path / "out")
    assert [image.id for image in dataset.images] != list(range(1, 8))
    for name in FILES:
        content = (whole.path / name).read_bytes()
        assert content == (cut.path / name).read_bytes() == (turned.path / name).read_bytes(), name


def test_scoring_again_gives_the_same(seven, tmp_path):
    out, dataset = run(seven, 3, tmp_path / "out")
    before = {name: (out.path / name).read_bytes() for name in FILES}
    (out.path / "results.csv").write_text("")
    rescore(out.path, dataset)
    assert {name: (out.path / name).read_bytes() for name in FILES} == before
