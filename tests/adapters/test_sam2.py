"""SAM 2: official names and shapes, official outputs, on real weights too, and the single mask's stand-in."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as codec

import adapters
from adapters.checkpoints import RANDOM, Weights
from adapters.complexity import complexity
from adapters.errors import InputError
from adapters.everything import PROPOSALS, point_grid
from adapters.prompts import Prompts
from adapters.runtimes import compiled, with_runtime
from adapters.sam2 import CLAMP, UNUSED, Sam2Candidates, build, official_name
from adapters.state_dict import KeysError, load_strictly
from tests.conftest import check_recorded, load_filled, read_json, with_real_weights

SMALL = {
    "embed_dim": 16,
    "num_heads": 1,
    "stages": [1, 1, 2, 1],
    "global_att_blocks": [3],
    "window_spec": [8, 4, 16, 8],
}
BOX, CLICK = [60, 40, 300, 200], [250, 160]


def small(dtype="fp32"):
    """Return a SAM 2 with a Hiera that hardly takes time."""
    card = adapters.card("sam2.1_hiera_tiny").model_copy(update={"architecture": SMALL})
    return build(card, Weights(RANDOM), "cpu", dtype)


@pytest.fixture(scope="module")
def random():
    return adapters.load("sam2.1_hiera_tiny", "random")


@pytest.fixture(scope="module")
def real():
    pytest.importorskip("onnxruntime")
    return with_real_weights("sam2_hiera_tiny")


def test_every_tensor_has_its_official_name(random, shared):
    official = read_json(shared / "parity" / "sam2.1_hiera_tiny.keys.json")
    own = {official_name(name): list(tensor.shape) for name, tensor in random.module.state_dict().items()}
    assert own == {name: shape for name, (shape, _) in official.items() if not name.startswith(UNUSED)}


def test_equals_official_outputs(shared, photo, tmp_path):
    """The checkpoint holds what video needs too."""
    adapter = load_filled("sam2.1_hiera_tiny", "sam2.1_hiera_tiny", shared, tmp_path)
    check_recorded(adapter, np.load(shared / "parity" / "sam2.1_hiera_tiny_20992.npz"), photo)


def test_checkpoints_and_exports_are_the_published_ones(shared):
    published = read_json(shared / "reference" / "checkpoints_more.json")["checkpoints"]
    for name in (name for name in adapters.names() if adapters.card(name).family == "sam2"):
        checkpoint, facts = adapters.card(name).checkpoint, published[name]
        assert (checkpoint.url, checkpoint.sha256) == (facts["url"], facts["sha256"])
        assert checkpoint.bytes in (facts["bytes"], None)
    exports, facts = adapters.card("sam2_hiera_tiny").checkpoint.exports, published["sam2_hiera_tiny"]["package"]
    assert (exports.requirement, exports.sha256) == (facts["npm"], facts["archive_sha256"])
    assert [file.member for file in exports.files] == facts["members"]
    known = (published["sam2_hiera_tiny_encoder_ort"], published["sam2_hiera_tiny_decoder_onnx"])
    assert [file.sha256 for file in exports.files] == [file["sha256"] for file in known]


def test_missing_and_unexpected_tensors_are_errors(random):
    state = {official_name(name): tensor for name, tensor in random.module.state_dict().items()}
    state["stranger"] = state.pop("no_mem_embed")
    with pytest.raises(KeysError) as caught:
        load_strictly(random.module, state, official_name)
    assert (caught.value.missing, caught.value.unexpected) == (["no_mem_embed"], ["stranger"])


@pytest.mark.real_weights
def test_equals_the_exports_on_real_weights(real, shared, photo):
    recorded = np.load(shared / "parity" / "sam2_hiera_tiny_20992.npz")
    pixels = real.frame.prepare(photo)
    np.testing.assert_allclose(pixels[0, :, :16, :16], recorded["input_corner"], atol=1e-6)
    with torch.inference_mode():
        _, once, twice = real.encoder(pixels)
    for number, finer in enumerate((twice, once)):
        corner = finer[0, :8, :8, :8].permute(2, 0, 1)
        np.testing.assert_allclose(corner, recorded[f"high_res_feats_{number}_corner"], atol=1e-5)
    check_recorded(real, recorded, photo, tolerance=5e-4)


@pytest.mark.real_weights
def test_equals_recorded_ious_with_objects(real, shared, coco):
    images = {image.id: image for image in coco.images}
    objects = read_json(shared / "parity" / "sam2_hiera_tiny_coco10.json")["objects"]
    first = [recorded for recorded in objects if recorded["image_id"] == objects[0]["image_id"]]
    image = images[first[0]["image_id"]]
    truths = {one.id: one.mask(image.height, image.width) for one in image.annotations}
    embedding = real.encode(image.pixels())
    boxes = Prompts.from_boxes([recorded["box"] for recorded in first])
    points = Prompts.from_points([[recorded["point"]] for recorded in first], np.ones((len(first), 1)))
    for kind, prompts in (("box", boxes), ("point", points)):
        answer = real.decode(embedding, prompts)
        masks = [answer.masks(column) for column in (1, 2, 3)]
        singles = answer.masks("single")
        for row, recorded in enumerate(first):
            truth, expected = truths[recorded["annotation_id"]], recorded[f"official_{kind}"]
            ours = [iou(mask[row], truth) for mask in masks]
            np.testing.assert_allclose(ours, expected["iou_ground_truth"], atol=2e-4)
            assert answer.best()[row] == 1 + expected["chosen"]
            single = recorded[f"official_{kind}_single"]["iou_ground_truth"]
            np.testing.assert_allclose([iou(singles[row], truth)], single, atol=2e-4)


def iou(one, other):
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def test_a_single_mask_that_is_not_stable_gives_way_to_the_best():
    """100 pixels are above +0.05; how many more are above -0.05 decides."""
    logits, scores = torch.full((4, 4, 256, 256), -1.0), np.tile([0.9, 0.1, 0.8, 0.5], (4, 1)).astype(np.float32)
    for row, more in enumerate((0, 2, 3)):
        logits[row, 0].flatten()[: 100 + more] = 0.0
        logits[row, 0].flatten()[:100] = 1.0
    candidates = Sam2Candidates(logits, scores, (256, 256), None)
    assert candidates.singles().tolist() == [0, 0, 2, 0]


def test_logits_that_are_given_back_are_clamped_but_masks_are_made_of_them_as_they_are():
    adapter = small()
    answer = adapter.decode(adapter.encode(np.zeros((40, 60, 3), np.uint8)), Prompts.from_boxes([[5, 5, 50, 30]]))
    answer.logits[0, 0, 0, :2] = torch.tensor([100.0, -200.0])
    assert answer.chosen_logits(np.array([0]))[0, 0, :2].tolist() == [CLAMP, -CLAMP]
    assert answer.logits[0, 0, 0, 0] == 100


def test_prompts_become_tokens_in_the_official_order(scene):
    """A box is two labelled points before the others, and a padding point comes last."""
    adapter = small()
    module, embedding = adapter.module.prompt_encoder, adapter.encode(scene)
    prompts = Prompts.from_boxes_and_points([BOX], [[CLICK]], [[0]])
    tokens = adapter._sparse(embedding, prompts)[0]
    scale = torch.tensor([1024 / 640, 1024 / 480])
    places = torch.tensor([BOX[:2], BOX[2:], CLICK]) * scale + 0.5
    placed = module.pe_layer.forward_with_coords(places[None], (1024, 1024))[0]
    kinds = torch.cat([module.point_embeddings[label].weight for label in (2, 3, 0)])
    torch.testing.assert_close(tokens, torch.cat([placed + kinds, module.not_a_point_embed.weight]))
    assert adapter._sparse(embedding, Prompts.from_boxes([BOX])).shape == (1, 3, 256)


def test_everything_is_what_the_grid_gives(scene):
    adapter = small()
    embedding = adapter.encode(scene)
    found = adapter.everything(embedding, replace(PROPOSALS, points_per_side=3, box_nms=1.0))
    grid = adapter.decode(embedding, Prompts.from_points(point_grid(3, (480, 640))[:, None], np.ones((9, 1))))
    masks = np.concatenate([grid.masks(column) for column in (1, 2, 3)])
    expected = codec.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    assert len(found) == len(expected)
    assert codec.iou(found.rles, expected, [0] * len(expected)).max(axis=0).min() > 0.999


@pytest.mark.parametrize("runtime", ["compile", "channels_last", "onnxruntime"])
def test_runtimes_hand_the_finer_maps_on(runtime, scene, monkeypatch):
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    prompts = Prompts.from_boxes([BOX, [5, 5, 90, 300], [0, 0, 639, 479]])
    expected, given = (one.decode(one.encode(scene), prompts) for one in (small(), with_runtime(small(), runtime)[0]))
    np.testing.assert_allclose(given.logits, expected.logits, atol=1e-3)
    np.testing.assert_allclose(given.scores, expected.scores, atol=1e-4)


def test_half_precision_runs(scene):
    adapter = small("bf16")
    answer = adapter.decode(adapter.encode(scene), Prompts.from_boxes([BOX]))
    assert torch.isfinite(answer.logits).all()


def test_without_onnx_the_exports_say_what_they_need(monkeypatch, tmp_path):
    from adapters.sam2_exports import read_exports

    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InputError, match=re.escape("pip install 'sambench[onnx]'")):
        read_exports(tmp_path / "encoder.ort", adapters.card("sam2_hiera_tiny"))


@pytest.mark.parametrize(
    ("name", "width", "depths", "with_global", "windows"),
    [
        ("sam2.1_hiera_tiny", 96, (1, 2, 7, 2), (5, 7, 9), (8, 4, 14, 7)),
        ("sam2.1_hiera_large", 144, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
    ],
)
def test_the_encoders_operations(name, width, depths, with_global, windows):
    """A stage's first block still has the window of the stage before, and keeps a quarter of its queries."""
    side, macs, products, number = 256, 256**2 * 3 * 49 * width, 0, 0
    for stage, depth in enumerate(depths):
        for block in range(depth):
            pooled = bool(stage) and not block
            before = width // 2 if pooled else width
            window = windows[stage - pooled]
            padded = side if number in with_global else -(-side // window) * window
            keys = side**2 if number in with_global else window**2
            queries = (padded // 2 if pooled else padded) ** 2
            after = side // 2 if pooled else side
            macs += padded**2 * before * 3 * width + queries * width**2 + after**2 * 8 * width**2
            macs += side**2 * before * width if pooled else 0
            products += 2 * queries * keys * width
            side, number = after, number + 1
        if stage < 2:
            finer = 32 << stage
            macs += side**2 * width * finer + 256 * width * finer
        else:
            macs += side**2 * width * 256
        width *= 2
    found = complexity(name)
    assert found.encoder_attention_macs == pytest.approx(products, rel=1e-3)
    assert found.encoder_macs == pytest.approx(macs + products, rel=1e-3)
