"""What a run writes depends neither on how the images are cut into shards nor on their order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from adapters.checkpoints import Weights, resolve
from adapters.registry import card
from bench.datasets import Dataset
from bench.protocols import protocol
from bench.runs.conditions import prepare
from bench.runs.execute import execute
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.runs.rescore import rescore

FILES = ("results.csv", "instances.parquet", "detections/grabcut-efficientsam-detector_box.json")


@pytest.fixture(scope="module")
def seven(sample: Dataset) -> Dataset:
    """Return seven images: the drawn scenes, some of them twice, with an object or two of each."""
    images = []
    for number in range(7):
        image = sample.images[number % len(sample.images)]
        own = [
            replace(annotation, id=100 * number + annotation.id, image_id=number + 1)
            for annotation in image.annotations[: 1 + number % 2]
        ]
        images.append(replace(image, id=number + 1, annotations=tuple(own)))
    return replace(sample, images=images, known_images=frozenset(range(1, 8)))


def run(dataset: Dataset, shard_images: int, folder, monkeypatch) -> RunFolder:
    """Run GrabCut under three protocols, one of them with random clicks."""
    from bench.runs.detections import Detections, DetectorBox

    boxes = {
        image.id: [DetectorBox(annotation.box, annotation.category_id, 0.5) for annotation in image.annotations]
        for image in dataset.images
    }
    from collections import Counter

    detections = Detections("boxes.json", "0" * 64, boxes, Counter())
    truth = {
        "images": [{"id": image.id, "height": image.height, "width": image.width} for image in dataset.images],
        "annotations": [
            {"id": number, "image_id": image.id, "category_id": own.category_id, "area": own.area, "iscrowd": 0,
             "bbox": [*own.box[:2], own.box[2] - own.box[0], own.box[3] - own.box[1]],
             "segmentation": own.segmentation}
            for number, (image, own) in enumerate(
                ((image, own) for image in sorted(dataset.images, key=lambda image: image.id)
                 for own in image.annotations), 1)
        ],
        "categories": [{"id": key, "name": name} for key, name in dataset.categories.items()],
    }  # fmt: skip
    monkeypatch.setattr("bench.runs.score.ground_truth", lambda *_, **__: truth)
    rules = [protocol(name) for name in ("efficientvit", "efficientsam", "edgesam")]
    weights: dict[str, Weights] = {"grabcut": resolve(card("grabcut"))}
    plan = make_plan(weights, dataset, rules, ["box", "click1", "detector_box"], detections, prepare("cpu", "fp32"))
    out = RunFolder(folder)
    execute(plan.model_copy(update={"shard_images": shard_images}), dataset, weights, detections, out)
    return out


def test_one_shard_seven_shards_and_another_order(seven, tmp_path, monkeypatch):
    whole = run(seven, 7, tmp_path / "whole", monkeypatch)
    cut = run(seven, 1, tmp_path / "cut", monkeypatch)
    assert len(list((cut.path / "shards").glob("grabcut-*"))) == 7
    shuffled = list(seven.images)
    random.Random(3).shuffle(shuffled)
    turned = run(replace(seven, images=shuffled), 2, tmp_path / "turned", monkeypatch)
    for name in FILES:
        content = (whole.path / name).read_bytes()
        assert content == (cut.path / name).read_bytes() == (turned.path / name).read_bytes(), name


def test_scoring_again_gives_the_same(seven, tmp_path, monkeypatch):
    out = run(seven, 3, tmp_path / "out", monkeypatch)
    before = {name: (out.path / name).read_bytes() for name in FILES}
    (out.path / "results.csv").write_text("")
    rescore(out.path, seven)
    assert {name: (out.path / name).read_bytes() for name in FILES} == before
