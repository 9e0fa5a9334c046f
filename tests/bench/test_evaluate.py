"""Asking a model about an image: several protocols on one encoding, clicks until it is good, pairs, replacements."""

from __future__ import annotations

import numpy as np
import pytest

import adapters
from adapters.adapter import Adapter, Candidates, Embedding
from adapters.checkpoints import resolve
from adapters.errors import InputError
from adapters.prompts import FOREGROUND
from bench.datasets import Annotation, Dataset
from bench.metrics.iou import iou
from bench.protocols import protocol
from bench.protocols.clicks import Clicker
from bench.protocols.pairs import draw_pairs
from bench.protocols.tasks import tasks_of
from bench.runs.abilities import obstacle, replacements
from bench.runs.evaluate import evaluate
from bench.runs.plan import Job
from bench.runs.subset import taken

PROTOCOLS = ("efficientvit", "edgesam", "efficientsam", "sam-paper", "samfast", "hq")


def jobs(*names: str, kinds: tuple[str, ...] = ("box", "box_click", "click")) -> list[Job]:
    return [
        Job(protocol=name, task=task)
        for name in names
        for task in tasks_of(protocol(name))
        if task.rstrip("0123456789") in kinds
    ]


class Counting(Adapter):
    """A model that counts how often it is asked to encode and to decode."""

    def __init__(self, model: Adapter) -> None:
        self.model, self.card, self.device, self.dtype = model, model.card, model.device, model.dtype
        self.encoded = self.decoded = 0

    def resizing(self, resize):
        self.model_for = self.model.resizing(resize)
        return self

    def _encode(self, image):
        self.encoded += 1
        return self.model_for.encode(image)

    def _decode(self, embedding, prompts):
        self.decoded += 1
        return self.model.decode(embedding, prompts)


@pytest.fixture(scope="module")
def few(sample: Dataset):
    """Return a drawn scene with four of its objects."""
    from dataclasses import replace

    image = sample.images[0]
    return replace(image, annotations=image.annotations[:4])


@pytest.fixture(scope="module")
def together(random_mobile_sam, few):
    """Return the rows of all protocols from one go, and how often the model was asked."""
    model = Counting(random_mobile_sam)
    rules = [protocol(name) for name in PROTOCOLS]
    return evaluate(model, few, few.pixels(), jobs(*PROTOCOLS), rules).rows, model


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_together_give_what_each_gives_alone(random_mobile_sam, few, together, name):
    alone = evaluate(random_mobile_sam, few, few.pixels(), jobs(name), [protocol(name)]).rows
    assert [row for row in together[0] if row["protocol"] == name] == alone


def test_an_image_is_encoded_once_for_each_way_of_resizing(together):
    _, model = together
    assert model.encoded == 2
    decodes = sum(len({(job.task, job.protocol) for job in jobs(name)}) for name in PROTOCOLS)
    assert model.decoded < decodes + 8  # clicks in between, less what protocols share


def test_each_protocol_takes_its_own_mask_and_measures(together):
    rows, _ = together
    by_task = {name: [row for row in rows if row["protocol"] == name] for name in PROTOCOLS}
    assert {row["task"] for row in by_task["edgesam"]} == {
        "box",
        "box_click1",
        "box_click2",
        "click1",
        "click2",
        "click3",
    }
    for row in by_task["edgesam"]:
        assert row["iou"] == row["iou_single"]
    assert all(row["boundary_iou"] >= 0 for row in by_task["hq"])


class Growing(Candidates):
    """A mask that is a disc of as many pixels around each click."""

    def __init__(self, prompts, shape):
        self.prompts, self.shape = prompts, shape
        self.scores = np.full((len(prompts), 1), np.nan, np.float32)

    def _masks(self, rows, columns):
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        masks = np.zeros((len(rows), *self.shape), bool)
        for mask, row in zip(masks, rows, strict=True):
            for (px, py), label in zip(self.prompts.points[row], self.prompts.labels[row], strict=True):
                disc = np.hypot(x - px, y - py) <= 14
                mask[disc] = label == FOREGROUND
        return masks


class Painter(Adapter):
    """Paints a disc at every click: each click helps, and how many are needed can be counted by hand."""

    card = adapters.card("grabcut")

    def _encode(self, image):
        return Embedding(image.shape[:2])

    def _decode(self, embedding, prompts):
        return Growing(prompts, embedding.image_size)


def test_number_of_clicks_against_a_loop_over_one_object_at_a_time(few):
    rules = protocol("ritm-noc").model_copy(update={"masks": protocol("efficientvit").masks})
    asked = [Job(protocol="ritm-noc", task="noc85"), Job(protocol="ritm-noc", task="noc90")]
    rows = evaluate(Painter(), few, few.pixels(), asked, [rules]).rows
    painter, embedding = Painter(), Embedding((few.height, few.width))
    from adapters.prompts import Prompts

    assert len(rows) == 2 * len(few.annotations)
    for annotation in few.annotations:
        truth = annotation.mask(few.height, few.width)
        clicker, history, answer = Clicker(truth), [], None
        for _ in range(20):
            clicker.next(answer)
            clicks = np.array([clicker.clicks], float)
            answer = painter.decode(embedding, Prompts.from_points(clicks[..., :2], clicks[..., 2])).masks()[0]
            history.append(float(iou(answer[None], truth)[0]))
        for threshold in (85, 90):
            row = next(r for r in rows if (r["annotation_id"], r["task"]) == (annotation.id, f"noc{threshold}"))
            good = [k for k, value in enumerate(history, 1) if value >= threshold]
            assert (row["clicks_needed"], row["reached"]) == ((good[0], True) if good else (20, False))
            assert row["iou"] == pytest.approx(history[row["clicks_needed"] - 1])


def test_earlier_logits_are_given_back(random_mobile_sam, few):
    """With feedback the second answer is that to the clicks and the first answer's logits."""
    from adapters.prompts import Prompts

    base = protocol("efficientvit")
    points = base.points.model_copy(update={"counts": (1, 2)})
    rules = base.model_copy(
        update={"masks": base.masks.model_copy(update={"feedback": "previous"}), "points": points, "boxes": None}
    )
    asked = [Job(protocol="efficientvit", task=task) for task in ("click1", "click2")]
    rows = evaluate(random_mobile_sam, few, few.pixels(), asked, [rules]).rows
    second = [row for row in rows if row["task"] == "click2"]
    clicks = np.array([row["clicks"] for row in second]).reshape(len(second), 2, 3)
    embedding = random_mobile_sam.encode(few.pixels())
    first = random_mobile_sam.decode(embedding, Prompts.from_points(clicks[:, :1, :2], clicks[:, :1, 2]))
    logits = first.chosen_logits(first.best())
    again = random_mobile_sam.decode(embedding, Prompts.from_points(clicks[..., :2], clicks[..., 2], logits))
    np.testing.assert_allclose([row["score"] for row in second], again.scores[range(len(second)), again.best()])


@pytest.mark.parametrize("first", ["random", "mass_center", "box_center", "dt_center", "layer_center"])
def test_clicks_depend_on_the_annotation_not_on_the_order(few, first):
    base = protocol("efficientsam")
    rules = base.model_copy(update={"points": base.points.model_copy(update={"first": first}), "boxes": None})
    asked = [Job(protocol="efficientsam", task="click3")]
    forward = evaluate(Painter(), few, few.pixels(), asked, [rules]).rows
    from dataclasses import replace

    turned = replace(few, annotations=few.annotations[::-1])
    backward = evaluate(Painter(), turned, turned.pixels(), asked, [rules]).rows
    assert forward == backward[::-1]
    other = rules.model_copy(update={"seed": 1})
    assert forward != evaluate(Painter(), few, few.pixels(), asked, [other]).rows


def test_the_annotations_own_point(few):
    from dataclasses import replace

    rules = protocol("slimsam")
    asked = [Job(protocol="slimsam", task="click1")]
    pointed: list[Annotation] = [replace(few.annotations[0], point=(12.5, 30.0)), few.annotations[1]]
    image = replace(few, annotations=tuple(pointed))
    result = evaluate(Painter(), image, image.pixels(), asked, [rules])
    assert [row["clicks"] for row in result.rows] == [[12.5, 30.0, 1.0]]
    assert result.skipped["slimsam"]["click1"] == {"it has no point of its own": 1}


@pytest.mark.parametrize("distance", [10, 100, 300])
def test_pairs_are_so_far_apart_and_inside(distance):
    pairs = draw_pairs(240, 320, distance, 8, [0, 7, distance])
    assert len(pairs) == 8
    np.testing.assert_allclose(np.hypot(*(pairs[:, 0] - pairs[:, 1]).T), distance)
    assert (pairs >= 0).all()
    assert (pairs <= (319, 239)).all()
    np.testing.assert_array_equal(pairs, draw_pairs(240, 320, distance, 8, [0, 7, distance]))


def test_pairs_that_find_no_room_are_counted(few):
    rules = protocol("mobilesam-align")
    asked = [Job(protocol="mobilesam-align", task=task) for task in ("pair100", "pair500")]
    small = rules.model_copy(update={"pairs": rules.pairs.model_copy(update={"distances": (100, 900)})})
    asked[1] = Job(protocol="mobilesam-align", task="pair900")
    result = evaluate(Painter(), few, few.pixels(), asked, [small])
    found = result.detections["mobilesam-align"]
    assert [one["pair"] for one in found["pair100"]] == [0, 1, 2, 3]
    assert found["pair900"] == []
    assert result.skipped["mobilesam-align"]["pair900"] == {"no room in the image for a pair": 4}


@pytest.mark.parametrize(
    ("model", "name", "task", "why", "instead"),
    [
        ("efficient_sam_ti", "efficientvit", "click5", None, ["points.next=random"]),
        ("efficient_sam_ti", "efficientvit", "click1", None, []),
        ("efficient_sam_ti", "ritm-noc", "noc90", "no negative clicks", ["points.next=random", "masks.feedback=none"]),
        ("efficient_sam_ti", "sam-paper", "click9", "6 points at most", ["points.next=random"]),
        ("efficient_sam_ti", "sam-paper", "detector_box", None, ["average_precision.refine=0"]),
        ("efficient_sam_ti", "mobilesam-align", "pair100", "no negative clicks", []),
        ("mobile_sam", "edgesam", "box", None, []),
        ("grabcut", "edgesam", "box", None, ["resize=native"]),
        ("grabcut", "efficientvit", "everything", "no everything mode", []),
        ("fast_sam_s", "edgesam", "box_click1", "no box and clicks", ["resize=native"]),
    ],
)
def test_what_a_model_cannot_do_is_refused_or_replaced(model, name, task, why, instead):
    card, rules = adapters.card(model), protocol(name)
    found = obstacle(card, rules, task)
    assert (found is None) == (why is None)
    assert why is None or why in found
    assert replacements(card, rules, task) == instead


def test_a_reference_model_must_be_run_and_able(sample: Dataset):
    from bench.conditions import prepare
    from bench.runs.plan import make_plan

    rules = protocol("mobilesam-align")
    conditions = prepare("cpu", "fp32")

    def plan(reference: str, models: tuple[str, ...], dataset: Dataset = sample):
        own = rules.model_copy(update={"pairs": rules.pairs.model_copy(update={"reference": reference})})
        weights = {name: resolve(adapters.card(name), "random" if name != "grabcut" else None) for name in models}
        return make_plan(weights, dataset, [own], ["pair"], None, conditions)

    assert plan("grabcut", ("grabcut",)).tasks
    with pytest.raises(InputError, match="sam_vit_h must be among the --models"):
        plan("sam_vit_h", ("grabcut",))
    with pytest.raises(InputError, match="efficient_sam_ti can't be compared with: it takes no negative clicks"):
        plan("efficient_sam_ti", ("efficient_sam_ti", "grabcut"))


def test_a_knob_that_a_model_cannot_do_is_named(tmp_path):
    (tmp_path / "stable.toml").write_text('from = "efficientvit"\n[masks]\nselect = "stability"\n')
    rules = protocol(str(tmp_path / "stable.toml"))
    card = adapters.card("mobile_sam").model_copy(update={"score": "confidence"})
    assert obstacle(card, rules, "box") == "masks.select: stability needs logits, which it doesn't give"


def test_a_subset_is_the_same_however_much_is_run(sample: Dataset):
    from dataclasses import replace

    base = protocol("efficientvit")
    rules = base.model_copy(update={"annotations": base.annotations.model_copy(update={"lvis_subset": 2})})
    lvis = replace(sample, kind="lvis")
    assert taken(base, lvis) == sample.known_images
    assert len(taken(rules, lvis)) == 2
    assert taken(rules, lvis) == taken(rules, lvis.first(1)) != taken(rules.model_copy(update={"seed": 5}), lvis)
