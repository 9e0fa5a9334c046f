"""Category names as words, from the command line to average precision; one image asked by words."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import adapters
from adapters.adapter import Adapter, Embedding
from adapters.cards import card, cards
from adapters.checkpoints import Weights, resolve
from adapters.errors import InputError
from adapters.grounding import Grounded, GroundSettings
from bench.check_adapter.run import check
from bench.cli import main
from bench.cli.run import _default_protocols
from bench.datasets import open_dataset
from bench.predict.draw import draw_found
from bench.predict.request import parse, takeable
from bench.protocols import protocol
from bench.protocols.tasks import tasks_of
from bench.runs.abilities import obstacle
from bench.runs.proposals import by_words
from bench.runs.session import Session
from tests.conftest import read_json
from tests.small_words import SMALL, grounded, register
from tests.tiny_family import CARD

TINY = CARD.model_copy(update={"module": "tests.tiny_family"})


@pytest.fixture
def small(monkeypatch):
    """Make small pipelines known."""
    pytest.importorskip("transformers")
    monkeypatch.setattr("adapters.grounding_dino.SHORTEST", 160)
    monkeypatch.setattr("adapters.grounding_dino.LONGEST", 266)
    register(monkeypatch, TINY, grounded("small_lang_sam", "lang_sam"))


@pytest.fixture
def sambench(monkeypatch, capsys):
    """Return a function that runs a command in this process: exit status, stdout, stderr."""

    def run(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["sambench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


class Oracle(Adapter):
    """Finds every annotated object of an image, if its category is named."""

    def __init__(self, dataset, shift=0):
        self.card = card("lang_sam").model_copy(update={"name": "oracle"})
        self.weights, self.dataset, self.shift = Weights("none", official=True), dataset, shift
        self.grounding = GroundSettings(threshold=0.5)
        self.asked = []

    def _encode(self, image):
        (found,) = [one for one in self.dataset.images if np.array_equal(one.pixels(), image)]
        embedding = Embedding(image.shape[:2])
        embedding.image = found
        return embedding

    def _ground(self, embedding, words, settings):
        self.asked.append((words.phrases, settings))
        image, names = embedding.image, self.dataset.categories
        rles = [codec.encode(np.asfortranarray(one.mask(image.height, image.width).astype(np.uint8)))
                for one in image.annotations]  # fmt: skip
        rles = [{**rle, "counts": rle["counts"].decode()} for rle in rles]
        phrases = [(words.phrases.index(names[one.category_id]) + self.shift) % len(words) for one in image.annotations]
        boxes = np.array([one.box for one in image.annotations], np.float32)
        scores = np.linspace(1, 0.6, len(rles), dtype=np.float32)
        return Grounded(boxes, scores, np.array(phrases), [""] * len(rles), rles)


@pytest.mark.parametrize("area", ["mask", "box"])
def test_detections_are_of_the_categories_whose_names_found_them(sample, area):
    rules = protocol("words").words.model_copy(update={"detection_area": area})
    oracle = Oracle(sample)
    for image in sample.images:
        found = by_words(Session(oracle, image.pixels()), image, sample.categories, rules, "native")
        assert [one["category_id"] for one in found] == [one.category_id for one in image.annotations]
        assert {one["image_id"] for one in found} == {image.id}
        assert all(("bbox" in one) == (area == "box") for one in found)
        if area == "box":
            x, y, w, h = found[0]["bbox"]
            np.testing.assert_allclose((x, y, x + w, y + h), image.annotations[0].box, atol=1e-3)
    phrases, settings = oracle.asked[0]
    assert phrases == tuple(sample.categories[number] for number in sorted(sample.categories))
    assert settings == GroundSettings(threshold=0.0, max_detections=300)


def test_a_model_s_own_threshold(sample):
    rules = protocol("words").words.model_copy(update={"threshold": "own"})
    oracle = Oracle(sample)
    by_words(Session(oracle, sample.images[0].pixels()), sample.images[0], sample.categories, rules, "native")
    assert oracle.asked[0][1] == GroundSettings(threshold=0.5, max_detections=300)


def test_names_are_written_as_words(sample):
    asked = []

    class Nothing(Oracle):
        def _ground(self, embedding, words, settings):
            asked.extend(words.phrases)
            none = np.zeros(0, np.float32)
            return Grounded(np.zeros((0, 4), np.float32), none, none.astype(int), [], [])

    names = {7: "baby_buggy", 3: "apple_(fruit)"}
    image = sample.images[0]
    rules = protocol("words").words
    assert by_words(Session(Nothing(sample), image.pixels()), image, names, rules, "native") == []
    assert asked == ["apple (fruit)", "baby buggy"]


def test_average_precision_is_pycocotools(small, sambench, sample_folder, tmp_path):
    """The run's AP is what COCO's own evaluation makes of the run's detections, and they are those of the model."""
    out = tmp_path / "out"
    arguments = ["run", "--models", "small_lang_sam", "--data", sample_folder, "--tasks", "words", "--weights",
                 "random", "--device", "cpu", "--limit", 2, "--out", out]  # fmt: skip
    status, printed, told = sambench(*arguments)
    assert status == 0, told
    assert "AP of masks of what the categories' names find (%), under words" in " ".join(printed.split())
    assert "RANDOM WEIGHTS" in printed
    results = pd.read_csv(out / "results.csv").set_index("metric")
    assert set(results["task"]) == {"words"}
    assert set(results["weights"]) == {"random"}
    assert results["protocol"].iloc[0] == protocol("words").identity
    detections = read_json(out / "detections" / "small_lang_sam-words-words.json")
    truth = COCO(str(sample_folder / "annotations.json"))
    evaluation = COCOeval(truth, truth.loadRes(detections), "segm")
    evaluation.params.imgIds = sorted(truth.getImgIds())[:2]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert results.loc["ap", "value"] == pytest.approx(100 * evaluation.stats[0], abs=1e-9)
    assert len(detections) == results.loc["ap", "n"] > 0
    counts = read_json(out / "run.json")["counts"]["small_lang_sam"]["words"]["words"]
    assert counts == {"n_total": 2, "n_scored": 2, "skipped": {}}
    stages = set(pd.read_csv(out / "latency.csv")["stage"])
    assert {"ground", "decode", "encode"} <= stages
    first = [one for one in detections if one["image_id"] == detections[0]["image_id"]]
    image = open_dataset(sample_folder).images[0]
    adapter = adapters.load("small_lang_sam", "random")
    found = by_words(
        Session(adapter, image.pixels()),
        image,
        open_dataset(sample_folder).categories,
        protocol("words").words,
        "native",
    )
    assert [one["segmentation"] for one in found] == [one["segmentation"] for one in first]
    assert sambench(*arguments)[0] == 0, "a finished run is shown again"
    status, _, told = sambench("report", out, "--out", tmp_path / "page.html")
    assert status == 0, told
    assert "names" in (tmp_path / "page.html").read_text()
    status, printed, told = sambench("leaderboard", tmp_path)
    assert status == 0, told


def test_true_masks_have_an_average_precision_of_100(sample, tmp_path):
    """And those of the next category have none."""
    from bench.metrics.average_precision import coco_average_precision
    from bench.metrics.reference import ground_truth

    truth = ground_truth(sample.annotation_file, [image.id for image in sample.images])
    for shift, expected in ((0, 100), (1, 0)):
        oracle, found = Oracle(sample, shift), []
        for image in sample.images:
            found += by_words(
                Session(oracle, image.pixels()), image, sample.categories, protocol("words").words, "native"
            )
        numbers = {number.metric: number.value for number in coco_average_precision(truth, found)}
        assert numbers["ap"] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(
    ("tasks", "protocols"),
    [
        (["box", "click"], ["efficientvit"]),
        (["words"], ["words"]),
        (["words", "box"], ["efficientvit", "words"]),
    ],
)
def test_words_have_a_protocol_of_their_own(tasks, protocols):
    assert _default_protocols(tasks) == protocols
    assert tasks_of(protocol("words")) == ["words"]


def test_older_protocols_are_the_same_without_the_section():
    """Their digests stand in results that are kept."""
    results = pd.concat(pd.read_csv(file) for file in sorted(_kept().glob("*/results.csv")))
    kept = {identity.split(";")[0] for identity in results["protocol"]}
    assert {protocol(name).identity for name in ("efficientvit", "edgesam", "samfast")} <= kept
    assert protocol("words").digest != protocol("words").model_copy(update={"words": None}).digest


def _kept():
    from pathlib import Path

    return Path(__file__).parents[2] / "results" / "amd-epyc-2-cores" / "cpu-fp32"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mobile_sam", "it takes no words"),
        ("grounding_dino_tiny", "it finds boxes, and no masks"),
        ("lang_sam", None),
        ("fast_sam_s_clip", None),
    ],
)
def test_what_a_model_cannot_do_is_said(name, why):
    assert obstacle(card(name), protocol("words"), "words") == why
    assert obstacle(card("lang_sam"), protocol("efficientvit"), "box") == "it takes no boxes"


def test_one_image_is_asked_by_words(small, sambench, sample_folder, tmp_path):
    image, out = sample_folder / "images" / "000001.png", tmp_path / "out"
    text = "a disc. [b]<script>alert(1)</script>. 狗"
    arguments = ["predict", image, "--models", "small_lang_sam,small_dino,grabcut", "--text", text, "--weights",
                 "random", "--device", "cpu", "--out", out]  # fmt: skip
    status, printed, told = sambench(*arguments)
    assert status == 0, told
    assert "grabcut takes no words" in printed
    assert "words: 8 found" in printed
    record = read_json(out / "predict.json")
    assert record["words"] == ["a disc", "[b]<script>alert(1)</script>", "狗"]
    models = {model["model"]: model for model in record["models"]}
    assert len(models["small_lang_sam"]["found"]) == 8
    assert {one["phrase"] for one in models["small_lang_sam"]["found"]} <= set(record["words"])
    assert {one["area"] for one in models["small_dino"]["found"]} == {None}
    masks, boxes = (read_json(out / f"{name}.json") for name in ("small_lang_sam", "small_dino"))
    assert len(masks) == len(boxes) == 8
    assert all(0 < one["category_id"] <= 3 and "segmentation" in one for one in masks)
    assert [one["bbox"] for one in masks] == [one["bbox"] for one in boxes]
    assert not any("segmentation" in one for one in boxes)
    assert (out / "small_lang_sam-words-overlay.png").is_file()


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no phrase"), (" . ", "no phrase"), ("d\udcffg", "isn't text"), ("word " * 300, "phrase 0 has")],
)
def test_words_that_cannot_be_asked_get_one_line(small, sambench, sample_folder, tmp_path, text, said):
    image = sample_folder / "images" / "000001.png"
    status, printed, told = sambench("predict", image, "--models", "small_dino", "--text", text, "--weights", "random",
                                     "--out", tmp_path / "out")  # fmt: skip
    assert (status, printed) == (2, "")
    (line,) = told.splitlines()
    assert line.startswith("sambench: ")
    assert said in line
    assert not (tmp_path / "out").exists()


def test_words_and_a_prompt_in_one_request():
    request = parse(["3,4"], [], None, False, "a dog. a cat")
    assert request.words.phrases == ("a dog", "a cat")
    takes, refused = takeable(card("lang_sam"), request)
    assert takes.prompts is None
    assert takes.words == request.words
    assert refused == ["lang_sam takes no points"]
    takes, refused = takeable(card("mobile_sam"), request)
    assert takes.words is None
    assert refused == ["mobile_sam takes no words"]
    with pytest.raises(InputError, match="--text"):
        parse([], [], None, False)


def test_what_is_found_is_drawn():
    from adapters.prompts import Words

    image = np.full((60, 80, 3), 120, np.uint8)
    mask = np.zeros((60, 80), np.uint8, order="F")
    mask[30:50, 40:70] = 1
    rle = codec.encode(mask)
    found = Grounded(np.array([[40, 30, 70, 50], [-5, -5, 20, 90]], np.float32), np.array([0.9, 0.4], np.float32),
                     np.array([1, 0]), ["", ""], [rle, rle])  # fmt: skip
    drawn = draw_found(image, found, Words.from_phrases(["狗", "x" * 80]))
    assert drawn.shape == image.shape
    assert (drawn[46, 60] != 120).any()
    assert (image == 120).all()
    boxes = draw_found(image, Grounded(found.boxes, found.scores, found.phrases, found.labels), Words(("a", "b")))
    assert (boxes[46, 60] == 120).all()


def test_check_adapter_asks_a_model_that_takes_only_words(small, monkeypatch):
    for name in ("small_dino", "small_lang_sam"):
        held = sum(card(part).parameters or 0 for part in card(name).parts) or SMALL.parameters
        own = card(name).model_copy(update={"parameters": held})
        monkeypatch.setitem(cards(), name, own)
        weights = resolve(own, "random")
        found = list(check(own, lambda: adapters.load(own.name, weights)))  # noqa: B023
        assert [one.verdict for one in found] == ["passed"] * len(found), found[-1]
        assert found[-1].check == "words"


def test_weights_travel_to_other_processes(small, tmp_path):
    from bench.latency.spec import Spec

    weights = resolve(card("small_lang_sam"), "random")
    spec = Spec(model="small_lang_sam", weights=weights, device="cpu", dtype="fp32", runtime="eager",
                stages=("encode",), images=(tmp_path,), samples=1, seconds=1.0)  # fmt: skip
    assert Spec.model_validate_json(spec.model_dump_json()).weights == weights


def test_parts_weights_are_named_like_models(small, sambench, sample_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    image = sample_folder / "images" / "000001.png"
    asked = ["predict", image, "--models", "small_lang_sam", "--text", "a dog", "--out", tmp_path / "out"]
    status, _, told = sambench(*asked)
    assert status == 2
    assert "small_dino: its checkpoint isn't in the cache" in told
    assert sambench(*asked, "--weights", "small_dino=random")[0] == 0
    folder = tmp_path / "folder"
    folder.mkdir()
    status, _, told = sambench(*asked, "--weights", f"small_dino={folder}")
    assert status == 2
    assert f"no checkpoint at {folder}/model.safetensors" in told


def test_the_record_is_json(small, sambench, sample_folder, tmp_path):
    image = sample_folder / "images" / "000001.png"
    assert sambench("predict", image, "--models", "small_dino", "--text", "a. b", "--weights", "random",
                    "--device", "cpu", "--out", tmp_path / "out")[0] == 0  # fmt: skip
    assert "NaN" not in (tmp_path / "out" / "predict.json").read_text()
    json.loads((tmp_path / "out" / "small_dino.json").read_text())
