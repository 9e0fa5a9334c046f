"""How long the suite's own hot paths take, and the stages of a model with random weights: kept and compared.

tox -e bench stores the samples and holds them against those stored before (sambench compare).
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest
import torch

from adapters.prompts import Prompts
from adapters.rle import encode_masks
from bench.cli.run import run_folder
from bench.latency.pulse import beat_on
from bench.metrics.average_precision import coco_average_precision
from bench.metrics.iou import iou
from bench.metrics.mean_iou import mean_ious
from bench.metrics.reference import ground_truth
from bench.protocols.clicks import Clicker
from bench.report.table import print_run

pytestmark = pytest.mark.benchmark(min_rounds=15, max_time=1.0, warmup=True, warmup_iterations=5, disable_gc=True)

PROMPTS, BEATS = 8, 10


@pytest.fixture(scope="module")
def beat():
    return beat_on("cpu")


@pytest.fixture(autouse=True)
def conditions(benchmark, beat):
    """Put into the file what durations depend on (bench.latency.compare_benchmarks), the pulse before and after."""
    versions = {package: version(package) for package in ("torch", "numpy", "opencv-python", "pycocotools")}
    pulses = [beat() for _ in range(BEATS)]
    benchmark.extra_info.update(threads=torch.get_num_threads(), versions=versions, pulses=pulses)
    yield
    pulses += [beat() for _ in range(BEATS)]


@pytest.fixture(scope="module")
def truths(sample):
    """Return the masks of a drawn scene, 480 x 640."""
    image = sample.images[0]
    return np.array([annotation.mask(image.height, image.width) for annotation in image.annotations])


@pytest.fixture(scope="module")
def answers(truths):
    """Return the same, off by 12 pixels."""
    return np.roll(truths, 12, axis=(1, 2))


@pytest.fixture(scope="module")
def boxes(sample):
    """Return eight boxes in that scene."""
    rng = np.random.default_rng(0)
    image = sample.images[0]
    corners = rng.uniform(0, 0.5, (PROMPTS, 2))
    sides = rng.uniform(0.1, 0.5, (PROMPTS, 2))
    return np.concatenate([corners, corners + sides], 1) * np.tile([image.width, image.height], 2)


@pytest.fixture(scope="module")
def embedding(random_mobile_sam, scene):
    """Return that scene, encoded."""
    return random_mobile_sam.encode(scene)


def test_first_click(benchmark, truths):
    benchmark(lambda: [Clicker(truth).next() for truth in truths])


def test_next_click(benchmark, truths, answers):
    def click():
        for truth, answer in zip(truths, answers, strict=True):
            clicker = Clicker(truth)
            clicker.next()
            clicker.next(answer)

    benchmark(click)


def test_iou(benchmark, truths, answers):
    benchmark(lambda: [iou(answers, truth) for truth in truths])


def test_rle_encoding(benchmark, truths):
    masks = torch.from_numpy(truths.view(np.uint8))
    benchmark(encode_masks, masks)


def test_mean_iou_with_intervals(benchmark, instances):
    benchmark(lambda: list(mean_ious(instances)))


@pytest.fixture(scope="module")
def instances():
    """Return 2,000 instances of 200 images."""
    import pandas as pd

    rng = np.random.default_rng(0)
    numbers = {name: rng.uniform(0, 100, 2000) for name in ("iou", "iou_single", "iou_oracle")}
    keys = {"image_id": rng.integers(0, 200, 2000), "category_id": rng.integers(0, 10, 2000)}
    return pd.DataFrame({**keys, "area": rng.uniform(10, 20000, 2000), **numbers})


def test_average_precision(benchmark, sample):
    truth = ground_truth(sample.annotation_file, [image.id for image in sample.images])
    found = []
    for image in sample.images:
        for annotation in image.annotations:
            mask = np.roll(annotation.mask(image.height, image.width), annotation.id % 20, axis=1)
            [segmentation] = encode_masks(torch.from_numpy(mask.view(np.uint8))[None])
            keys = {"image_id": image.id, "category_id": annotation.category_id}
            found.append({**keys, "segmentation": segmentation, "score": 1 / (1 + annotation.id)})
    benchmark(lambda: list(coco_average_precision(truth, found)))


def test_report_of_a_run(benchmark, sample_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    run_folder(["grabcut"], str(sample_folder), ["box"], ["efficientvit"], device="cpu", out=out)
    benchmark(print_run, out)


def test_mobile_sam_preprocess(benchmark, random_mobile_sam, scene):
    benchmark(random_mobile_sam.frame.prepare, scene)


def test_mobile_sam_encode(benchmark, random_mobile_sam, scene):
    benchmark.pedantic(random_mobile_sam.encode, (scene,), rounds=12, warmup_rounds=2)


def test_mobile_sam_decode_1(benchmark, random_mobile_sam, embedding, boxes):
    benchmark(random_mobile_sam.decode, embedding, Prompts.from_boxes(boxes[:1]))


def test_mobile_sam_decode_8(benchmark, random_mobile_sam, embedding, boxes):
    benchmark(random_mobile_sam.decode, embedding, Prompts.from_boxes(boxes))


def test_choosing_and_upsampling(benchmark, random_mobile_sam, embedding, boxes):
    candidates = random_mobile_sam.decode(embedding, Prompts.from_boxes(boxes))
    benchmark(lambda: candidates.masks("best"))
