"""One image asked of several models: files, pictures, what is refused, and that nothing is half-written."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from typing import NamedTuple

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as codec

import adapters
from adapters.adapter import check_takes
from adapters.cards import card
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.everything import Proposals
from adapters.prompts import Prompts
from adapters.rle import encode_masks
from bench.cli import main
from bench.conditions import prepare
from bench.predict import folder
from bench.predict.ask import Mask, ask
from bench.predict.draw import draw_everything, draw_masks, draw_sheet
from bench.predict.label import label_image
from bench.predict.outcome import Asked, ask_all, files
from bench.predict.picture import Picture, read_picture
from bench.predict.record import coco_results
from bench.predict.request import Request, parse, takeable
from bench.predict.show import footnotes
from tests.conftest import read_image, read_json
from tests.tiny_family import CARD, Tiny


class Done(NamedTuple):
    """What a command ended with and printed."""

    returncode: int
    stdout: str
    stderr: str


PLACES = ["--point", "300,200", "--point", "310,210", "--negative", "10,20", "--box", "200,100,420,330"]


@pytest.fixture
def predict(monkeypatch, capsys):
    """Return a function that runs the command in this process."""
    return lambda *arguments: _predict(monkeypatch, capsys, *arguments)


def _predict(monkeypatch, capsys, *arguments: object) -> Done:
    monkeypatch.setattr(sys, "argv", ["sambench", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return Done(end.value.code, *capsys.readouterr())


@pytest.fixture(scope="module")
def image(sample_folder):
    """Return the file of a drawn scene, 640x480."""
    return sample_folder / "images" / "000001.png"


@pytest.fixture(scope="module")
def done(image, tmp_path_factory):
    """Return the folder of an answer to a box with clicks, and what was printed."""
    out = tmp_path_factory.mktemp("predict") / "out"
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as printed, redirect_stdout(printed):
        models = "grabcut,yolov8n_seg"
        arguments = [image, "--models", models, *PLACES, "--everything", "--device", "cpu", "--weights", "random"]
        patch.setattr(sys, "argv", ["sambench", "predict", *map(str, arguments), "--out", str(out)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return out, printed.getvalue()


def test_all_files_are_there_and_no_others(done):
    out, _ = done
    names = {path.name for path in out.iterdir()}
    ours = {"grabcut-best.png", "grabcut-overlay.png", "grabcut.json"}
    theirs = {"yolov8n_seg-everything.png", "yolov8n_seg-everything-overlay.png", "yolov8n_seg.json"}
    assert names == ours | theirs | {"sheet.png", "predict.json"}
    assert set(read_json(out / "predict.json")["files"]) == names - {"predict.json"}
    assert not list(out.parent.glob(".*"))


def test_the_mask_is_the_same_as_png_as_coco_and_from_the_library(done, image):
    out, _ = done
    mask = np.array(PIL.Image.open(out / "grabcut-best.png"))
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    (found,) = read_json(out / "grabcut.json")
    np.testing.assert_array_equal(codec.decode(found["segmentation"]), mask > 0)
    assert found.keys() >= {"image_id", "category_id", "bbox", "score"}
    prompts = Prompts.from_boxes_and_points([[200, 100, 420, 330]], [[[300, 200], [310, 210], [10, 20]]], [[1, 1, 0]])
    adapter = adapters.load("grabcut")
    expected = adapter.decode(adapter.encode(read_image(image)), prompts).masks("best")[0]
    np.testing.assert_array_equal(mask > 0, expected)


def test_the_record_names_what_the_numbers_belong_to(done):
    out, printed = done
    record = read_json(out / "predict.json")
    assert record["prompt"] == {
        "box": [200, 100, 420, 330], "points": [[300, 200], [310, 210], [10, 20]], "labels": [1, 1, 0]
    }  # fmt: skip
    assert len(record["image"]["sha256"]) == 64
    models = {model["model"]: model for model in record["models"]}
    assert models["grabcut"]["weights"] == "none"
    assert models["yolov8n_seg"]["weights"] == "random"
    assert "RANDOM WEIGHTS" in printed
    assert len(models["grabcut"]["seconds"]["decode"]) == 2
    assert len(models["yolov8n_seg"]["seconds"]["everything"]) == 1
    for said in ("first, second call", "000001.png", "torch", record["image"]["sha256"][:12]):
        assert said in printed


def test_what_a_model_cannot_take_is_said_by_name_and_the_others_go_on(done):
    _, printed = done
    for said in ("yolov8n_seg takes no box and points at once", "grabcut has no everything mode"):
        assert said in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["nothing is asked", "--point", "--everything"]),
        (["--point", "300"], ["--point 300", "x,y"]),
        (["--point", "a,b"], ["--point a,b", "x,y"]),
        (["--point", "3,4,5"], ["--point 3,4,5"]),
        (["--negative", "nan,4"], ["finite"]),
        (["--box", "1,2,3"], ["--box 1,2,3", "x0,y0,x1,y1"]),
        (["--box", "90,90,40,40"], ["empty or inverted"]),
        (["--box", "900,90,940,140"], ["outside the 640x480 image"]),
        (["--point", "640.5,4"], ["640.5", "outside the 640x480 image"]),
        (["--point", "-1,4"], ["-1", "outside the 640x480 image"]),
        (["--everything"], ["grabcut has no everything mode"]),
        (["--point", "3,4", "--models", "grabcat"], ["did you mean 'grabcut'"]),
        (["--point", "3,4", "--device", "cuda:"], ["cuda or cuda:N needed"]),
        (["--point", "3,4", "--weights", "x.pt"], ["x.pt"]),
    ],
)
def test_wrong_use_gets_one_line_and_writes_nothing(predict, image, tmp_path, arguments, said):
    models = [] if "--models" in arguments else ["--models", "grabcut"]
    one_line(predict(image, *models, *arguments, "--out", tmp_path / "out"), *said)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_read(predict, tmp_path, image):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:20_000])
    PIL.Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    for name, said in (("missing.png", "no image at"), ("text.png", "is no image"), ("cut.png", "can't be read"),
                       ("deep.png", "8 bits"), (".", "can't be read")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read_picture(tmp_path / name)
    out = tmp_path / "out"
    one_line(predict(tmp_path / "cut.png", "--models", "grabcut", "--point", "3,4", "--out", out), "cut.png")
    assert not out.exists()


def test_coordinates_are_those_a_viewer_shows(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 200
    turned = PIL.Image.Exif()
    turned[0x0112] = 6  # shown turned by a quarter
    PIL.Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=turned)
    assert read_picture(tmp_path / "turned.jpg").size == (60, 40)


def test_a_missing_checkpoint_of_a_model_that_is_not_asked_does_not_matter(predict, image, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    arguments = [image, "--models", "grabcut,efficient_sam_ti", "--point", "300,200", "--out", tmp_path / "out"]
    one_line(predict(*arguments), "weights fetch efficient_sam_ti")
    assert predict(*arguments, "--negative", "3,4").returncode == 0


def test_an_earlier_answer_is_replaced_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    folder.write(out, {"a.png": b"1"}, {"number": 1})
    folder.write(out, {"b.png": b"2"}, {"number": 2})
    assert {path.name for path in out.iterdir()} == {"b.png", "predict.json"}
    assert read_json(out / "predict.json")["number"] == 2
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        folder.write(out, {"c.png": b"3"}, {})
    assert {path.name for path in out.iterdir()} == {"b.png", "predict.json", "notes.txt"}
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        folder.check_free(tmp_path / "file")


def test_an_answer_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    out = tmp_path / "out"
    folder.write(out, {"a.png": b"1"}, {})
    with pytest.raises(TypeError):
        folder.write(out, {"b.png": b"2"}, {"unwritable": object()})
    assert {path.name for path in out.iterdir()} == {"a.png", "predict.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", list(adapters.names()))
def test_a_part_of_a_request_is_taken_or_refused_by_name(name):
    for options in (([], [], "1,1,9,9"), (["3,3"], [], None), (["3,3"], ["5,5"], None), (["3,3"], [], "1,1,9,9")):
        request = parse(*options, everything=True)
        takes, refused = takeable(card(name), request)
        assert takes.everything == card(name).everything
        assert len(refused) == (takes.prompts is None) + (not takes.everything)
        assert all(why.startswith(name) for why in refused)
        if takes.prompts is not None:
            check_takes(card(name), takes.prompts)


def test_several_masks_are_named(scene):
    tiny = Tiny(CARD, Weights("none", official=True))
    answer = ask(tiny, scene, parse(["300,200"], [], None, False))
    assert [mask.kind for mask in answer.masks] == ["best", "single"]
    assert all(0 <= mask.stability <= 1 for mask in answer.masks)
    assert [len(answer.seconds[stage]) for stage in ("encode", "decode")] == [2, 2]
    candidates = tiny.decode(tiny.encode(scene), Prompts.from_points([[[300, 200]]], [[1]]))
    for mask in answer.masks:
        np.testing.assert_array_equal(mask.pixels, candidates.masks(mask.kind)[0])
    assert answer.masks[0].score == candidates.scores[0, 1:].max()
    assert [found["mask"] for found in coco_results(answer)] == ["best", "single"]


def test_the_prompt_and_the_masks_are_where_they_should_be():
    image = np.full((48, 64, 3), 100, np.uint8)
    best, single = np.zeros((2, 48, 64), bool)
    best[10:30, 10:30] = True
    single[10:20, 40:60] = True
    masks = [Mask("best", best, 0.5, None), Mask("single", single, 0.4, None)]
    prompts = Prompts.from_points([[[15, 5], [50, 40]]], [[1, 0]])
    drawn = draw_masks(image, masks, prompts)
    assert (drawn[25, 20] != 100).any()
    assert (drawn[15, 50] == 100).all(), "the single mask is only outlined"
    assert (drawn[10, 50] != 100).any()
    assert drawn[3, 11, 1] > drawn[3, 11, 0], "the click on the object is green"
    assert drawn[37, 46, 0] > drawn[37, 46, 1], "the click beside it is red"
    assert (image == 100).all(), "the image isn't drawn on"


def test_the_sheet_holds_every_panel_under_its_title():
    panels = [
        (f"model number {number}", np.full((60, 80, 3), shade, np.uint8)) for number, shade in ((1, 50), (2, 200))
    ]
    sheet = draw_sheet(panels)
    for shade in (50, 200):
        assert (sheet == shade).all(-1).sum() >= 60 * 80
    assert max(draw_sheet([("large", np.zeros((3000, 4000, 3), np.uint8))]).shape) < 600


def test_proposals_as_a_picture_of_numbers():
    import torch

    masks = torch.zeros(2, 20, 30, dtype=torch.uint8)
    masks[0, 5:8, 5:8] = 1
    masks[1, 2:18, 2:28] = 1
    nothing = np.full(2, np.nan, np.float32)
    proposals = Proposals(
        encode_masks(masks), np.zeros((2, 4), np.float32), nothing, nothing, nothing, np.zeros((2, 2))
    )
    labels = label_image(proposals, (20, 30))
    assert (labels[6, 6], labels[3, 3], labels[0, 0]) == (1, 2, 0)
    drawn = draw_everything(np.full((20, 30, 3), 90, np.uint8), proposals)
    assert (drawn[0, 0] == 90).all()
    assert (drawn[6, 6] != drawn[3, 3]).any()
    none = Proposals([], np.zeros((0, 4), np.float32), nothing[:0], nothing[:0], nothing[:0], np.zeros((0, 2)))
    assert not label_image(none, (20, 30)).any()


def test_scores_that_a_model_does_not_make_are_no_nan_in_json(image):
    picture = read_picture(image)
    request = Request(Prompts.from_boxes([[200, 100, 420, 330]]))
    asked = [Asked(card("grabcut"), request, [])]
    outcome = ask_all(picture, request, asked, {"grabcut": Weights("none", official=True)}, prepare("cpu", "fp32"))
    content = files(outcome, request)["grabcut.json"] + json.dumps(outcome.record).encode()
    assert b"NaN" not in content
    assert json.loads(files(outcome, request)["grabcut.json"])[0]["score"] == 1.0


def test_hostile_names_are_only_text(image):
    picture = Picture("a[b]<script>.png", "0" * 64, read_image(image))
    request = Request(Prompts.from_boxes([[200, 100, 420, 330]]))
    asked = [Asked(card("grabcut"), request, [])]
    outcome = ask_all(picture, request, asked, {"grabcut": Weights("none", official=True)}, prepare("cpu", "fp32"))
    assert any("a[b]<script>.png" in line for line in footnotes(outcome.record))


def one_line(done: Done, *said: str) -> None:
    """Hold a refused command to one clear line and exit 2."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("sambench: ")
    for word in said:
        assert word in line
    assert done.stdout == ""


def boxes_file(path, *records):
    path.write_text(json.dumps([{"image_id": i, "category_id": 1, "bbox": box, "score": 0.5} for i, box in records]))
    return path


def test_everything_by_a_detectors_boxes(predict, image, tmp_path):
    boxes = boxes_file(tmp_path / "boxes.json", (1, [200, 100, 220, 230]), (1, [20, 20, 30, 40]), (7, [1, 1, 5, 5]))
    asked = ["--models", "grabcut", "--everything", "--protocol", "proposals-objects", "--detections", boxes]
    result = predict(image, *asked, "--out", tmp_path / "out", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    record = read_json(tmp_path / "out" / "predict.json")
    assert record["models"][0]["proposals"] == 2
    assert record["way"]["protocol"].startswith("proposals-objects/1/")
    assert record["way"]["boxes"].startswith("boxes.json ")
    assert "everything: by proposals-objects/1/" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--point", "3,4", "--protocol", "proposals-grid16"], "add --everything"),
        (["--everything", "--protocol", "proposals-gird16"], "did you mean 'proposals-grid16'"),
        (["--everything", "--protocol", "samfast"], "--protocol samfast: it has no section everything"),
        (["--everything", "--protocol", "proposals-objects"], "--detections FILE"),
        (["--everything", "--detections", "BOXES"], "such as --protocol proposals-objects"),
        (["--everything", "--protocol", "proposals-hierarchical"], "grabcut has no everything mode"),
        (["--everything", "--protocol", "proposals-objects", "--detections", "nowhere.json"], "no detections at"),
        (["--everything", "--protocol", "proposals-objects", "--detections", "TEXT"], "isn't in COCO's results format"),
        (["--everything", "--protocol", "proposals-objects", "--detections", "OTHERS"], "none of 000001.png"),
        (["--everything", "--protocol", "proposals-objects", "--detections", "BESIDE"], "beside the 640x480 image"),
    ],
)
def test_everything_asked_wrongly_gets_one_line(predict, image, tmp_path, arguments, said):
    (tmp_path / "TEXT").write_text("[1]")
    boxes_file(tmp_path / "BOXES", (1, [0, 0, 9, 9]))
    boxes_file(tmp_path / "OTHERS", (8, [0, 0, 9, 9]), (9, [0, 0, 9, 9]))
    boxes_file(tmp_path / "BESIDE", (1, [900, 0, 9, 9]))
    given = [tmp_path / own if own.isupper() else own for own in arguments]
    result = predict(image, "--models", "grabcut", *given, "--out", tmp_path / "out", "--device", "cpu")
    assert result.returncode == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
