"""Pictures: which objects are shown, and that a model asked again gives the run's own mask."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import adapters
from adapters.checkpoints import resolve
from adapters.errors import InputError
from bench.cli.report import report
from bench.metrics.iou import iou
from bench.protocols import protocol
from bench.report.page import pictures
from bench.report.page.decode import Decoder
from bench.report.page.gallery import KINDS, gallery, picks
from bench.report.read import read_run
from bench.report.study import studies
from bench.runs.evaluate import evaluate
from bench.runs.plan import Job
from tests.bench.report.runs import write_run

app = typer.Typer()
app.command("report")(report)
CLICK = np.array([[12.0, 14.0, 1.0], [3.0, 3.0, 0.0]])


def decoded(address):
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))))


@pytest.fixture
def of_sample(tmp_path, sample):
    """A run on the drawn scenes, its numbers made up."""
    folder = write_run(tmp_path / "run", ("grabcut", "mobile_sam"), images=4, each=2, digest=sample.digest,
                       name=sample.name, comparable=False, everything=False)  # fmt: skip
    frame = pq.read_table(folder / "instances.parquet").to_pandas()
    objects = [(image.id, own.id) for image in sample.images for own in image.annotations[:2]]
    images, annotations = (np.tile([one[part] for one in objects], 4) for part in (0, 1))
    frame.assign(image_id=images, annotation_id=annotations).to_parquet(folder / "instances.parquet", index=False)
    return folder


def test_best_median_worst_and_apart_are_what_they_say(tmp_path):
    study = studies([read_run(write_run(tmp_path / "run", images=20))])[0]
    rows = pd.concat(study.instances(label, "box").assign(label=label) for label in study.labels)
    table = rows.pivot_table(index=["image_id", "annotation_id"], columns="label", values="iou")
    found = picks(study, "box", 3)
    assert set(found) == set(KINDS)
    assert found["best"][0] == table.mean(axis=1).idxmax()
    assert found["worst"][0] == table.mean(axis=1).idxmin()
    assert found["apart"][0] == (table.max(axis=1) - table.min(axis=1)).idxmax()
    assert all(len({image for image, _ in own}) == 3 for own in found.values())


def test_a_picture_shows_answer_truth_and_prompt():
    pixels = np.full((60, 80, 3), 200, np.uint8)
    truth, answer = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    truth[10:40, 10:40], answer[10:40, 20:50] = True, True
    around = (10.0, 10.0, 40.0, 40.0)
    shown = decoded(pictures.picture(pixels, truth, around, CLICK, around, answer))
    assert max(shown.shape) == pictures.LONG_SIDE
    plain = decoded(pictures.picture(pixels, truth, None, np.zeros((0, 3)), around, None))
    assert shown.shape[2] == 3
    assert plain.mean() < 200
    x0, y0, x1, y1 = pictures.window(around, CLICK, 60, 80)
    assert x0 <= 3 < x1 <= 80
    assert y0 <= 3 < y1 <= 60


@pytest.mark.parametrize("task", ["box", "click1", "click3"])
def test_a_model_asked_again_answers_as_in_the_run(tmp_path, sample, task):
    image = sample.images[0]
    rules = protocol("efficientvit")
    study = studies([read_run(write_run(tmp_path / "run", ("grabcut",), images=4, everything=False))])[0]
    wanted = image.annotations[:1]
    alone = type(image)(image.id, image.path, image.height, image.width, wanted)
    rows = evaluate(
        adapters.load("grabcut"), alone, image.pixels(), [Job(protocol=rules.name, task=task)], [rules]
    ).rows
    row = pd.Series(rows[0])
    row["clicks"] = np.zeros((0, 3)) if row["clicks"] is None else np.array(row["clicks"]).reshape(-1, 3)
    decoder = Decoder(study, {"grabcut": resolve(adapters.card("grabcut"), None, False)}, task)
    mask = decoder(study.entries[0], image, wanted[0], row)
    assert iou(mask[None], wanted[0].mask(image.height, image.width))[0] == pytest.approx(row["iou"])
    assert Decoder(study, {}, task)(study.entries[0], image, wanted[0], row) is None


def test_every_model_stands_beside_the_object(of_sample, sample):
    study = studies([read_run(of_sample)])[0]
    found = gallery(study, sample, "click1", 1, lambda entry, image, annotation, row: annotation.mask(480, 640))
    examples = [example for _, own in found.groups for example in own]
    assert len(examples) == 4
    assert all([answer.label for answer in example.answers] == study.labels for example in examples)
    assert "1 click" in examples[0].caption


def test_hostile_categories_and_file_names_are_text(of_sample, sample_folder, tmp_path):
    content = json.loads((sample_folder / "annotations.json").read_text())
    for category in content["categories"]:
        category["name"] = '"><script>alert(1)</script>'
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "images").symlink_to(sample_folder / "images")
    (folder / "annotations.json").write_text(json.dumps(content))
    record = json.loads((of_sample / "run.json").read_text())
    from bench.datasets import open_dataset

    record["plan"]["dataset"]["digest"] = open_dataset(folder).digest
    (of_sample / "run.json").write_text(json.dumps(record))
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, [str(of_sample), "--data", str(folder), "--examples", "1", "--out", str(out)])
    assert result.exit_code == 0, result.exception
    page = out.read_text()
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert page.count('class="shot"') == 4


def test_other_data_are_refused(tmp_path, sample_folder):
    folder = write_run(tmp_path / "run", images=4, everything=False)
    result = CliRunner().invoke(app, [str(folder), "--data", str(sample_folder), "--out", str(tmp_path / "page.html")])
    assert isinstance(result.exception, InputError)
    assert "the runs were made on coco" in str(result.exception)
