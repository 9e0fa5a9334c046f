"""CLIP's choice among masks, against the official rule written plainly, mask by mask."""

from __future__ import annotations

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as codec

import adapters
from adapters.adapter import Adapter, Embedding
from adapters.cards import Checkpoint, card, cards
from adapters.checkpoints import Weights, sha256
from adapters.errors import InputError
from adapters.everything import Proposals
from adapters.grounding import GroundSettings
from adapters.prompts import Words
from adapters.rle import encode_masks

open_clip = pytest.importorskip("open_clip")

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
CARD = card("fast_sam_s_clip").model_copy(update={"name": "small_clip", "architecture": SMALL})
WORDS = Words.from_caption("a red square. the dog. a photo of nothing")
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP (openai/CLIP, clip/clip.py)."""


class Masks(Adapter):
    """Segments always the same."""

    def __init__(self, masks):
        self.found = masks
        self.card = card("grabcut")

    def _encode(self, image):
        return Embedding(image.shape[:2])

    def _everything(self, embedding, settings):
        count = len(self.found)
        nothing = np.full(count, np.nan, np.float32)
        rles = encode_masks(torch.from_numpy(self.found.astype(np.uint8)))
        return Proposals(rles, np.zeros((count, 4), np.float32), nothing, nothing, nothing, np.zeros((count, 2)))

    def everything(self, embedding, settings=None):
        return self._everything(embedding, settings)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return open_clip.CLIP(**SMALL, quick_gelu=True).requires_grad_(False).eval()


def masks_of(height, width, count, seed):
    """Return (count, height, width) masks of which some are of a few pixels."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, height, width), np.uint8)
    for number, mask in enumerate(masks):
        x, y = random.integers(0, width - 9), random.integers(0, height - 9)
        if number % 3 == 1:
            mask[y : y + 7, x : x + 9] = 1
        else:
            size = random.integers(9, width // 2), random.integers(9, height // 2)
            cv2.ellipse(mask, (int(x), int(y)), tuple(map(int, size)), 0, 0, 360, 1, -1)
    return masks.astype(bool)


def likeness(network, image, mask, phrase):
    """Return 100 times the cosine of a mask's picture and a phrase, as text_prompt makes it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    picture = np.full_like(image, 255)
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    picture[inside] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[inside]
    height, width = image.shape[:2]
    scale = 224 / min(height, width)
    size = (224, int(height * scale)) if width <= height else (int(width * scale), 224)
    small = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    left, top = (round((side - 224) / 2) for side in small.size)
    middle = np.asarray(small.crop((left, top, left + 224, top + 224)), np.float32) / 255
    pixels = torch.from_numpy((middle - np.float32(MEAN)) / np.float32(DEVIATION)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        seen = network.encode_image(pixels)
        meant = network.encode_text(open_clip.SimpleTokenizer()([phrase]))
    return 100 * float(torch.nn.functional.cosine_similarity(seen, meant))


@pytest.mark.parametrize(("height", "width"), [(120, 200), (210, 90), (64, 64)])
def test_each_phrase_gets_the_mask_that_looks_most_like_it(network, height, width):
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    masks = masks_of(height, width, 10, 2)
    adapter = adapters.family("fast_sam_s_clip").ClipWords(
        CARD, Weights("random"), "cpu", "fp32", network, Masks(masks)
    )
    found = adapter.ground(adapter.encode(image), WORDS)
    large = [mask for mask in masks if mask.sum() > 100]
    assert 2 <= len(large) < len(masks)
    assert sorted(found.phrases.tolist()) == [0, 1, 2]
    assert (np.diff(found.scores) <= 0).all()
    for row, phrase in enumerate(found.phrases):
        all_of_them = np.array([likeness(network, image, mask, WORDS.phrases[phrase]) for mask in large])
        chosen = large[int(all_of_them.argmax())]
        np.testing.assert_array_equal(codec.decode(found.rles[row]).astype(bool), chosen)
        x0, y0, x1, y1 = found.boxes[row].astype(int)
        assert chosen[y0:y1, x0:x1].sum() == chosen.sum()
        shares = np.exp(all_of_them - all_of_them.max())
        assert found.scores[row] == pytest.approx((shares / shares.sum()).max(), abs=2e-3)
        assert found.labels[row] == WORDS.phrases[phrase]


def test_where_nothing_is_segmented_nothing_is_found(network):
    tiny = np.zeros((2, 40, 40), bool)
    tiny[:, :10, :10] = True  # 100 pixels, one too few
    for masks in (tiny, tiny[:0]):
        adapter = adapters.family("fast_sam_s_clip").ClipWords(
            CARD, Weights("random"), "cpu", "fp32", network, Masks(masks)
        )
        found = adapter.ground(adapter.encode(np.zeros((40, 40, 3), np.uint8)), WORDS)
        assert (len(found), found.rles) == (0, [])


def test_a_phrase_that_clip_would_cut_gets_one_line(network):
    adapter = adapters.family("fast_sam_s_clip").ClipWords(
        CARD, Weights("random"), "cpu", "fp32", network, Masks(masks_of(60, 60, 3, 0))
    )
    embedding = adapter.encode(np.zeros((60, 60, 3), np.uint8))
    with pytest.raises(InputError, match="small_clip: phrase 1 has 300 tokens, CLIP takes 75") as caught:
        adapter.ground(embedding, Words.from_phrases(["dog", "dog " * 300]))
    assert "\n" not in str(caught.value)
    for text in ("狗", "🐘", "<end_of_text> dog", "&lt;b&gt;", "\x00"):
        assert len(adapter.ground(embedding, Words.from_phrases([text]))) == 1
    assert len(adapter.ground(embedding, WORDS, GroundSettings(threshold=1.0))) == 0


@pytest.fixture
def composed(monkeypatch):
    """Return the name of a small CLIP's composition with a real network that segments everything."""
    if importlib.util.find_spec("ultralytics") is None:  # importing it here would change Pillow for the whole process
        pytest.skip("ultralytics isn't installed")
    monkeypatch.setitem(cards(), "small_clip", CARD.model_copy(update={"parts": ("yolov8n_seg",)}))
    return "small_clip"


def test_it_runs_with_random_weights(composed, scene):
    adapter = adapters.load(composed, "random")
    found = adapter.ground(adapter.encode(scene), WORDS)
    assert len(found) == 3
    assert {tuple(rle["size"]) for rle in found.rles} == {scene.shape[:2]}


def test_openai_s_format_is_read(composed, monkeypatch, network, tmp_path):
    """A TorchScript archive of half precision, with three numbers among the tensors."""

    class Archive(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, tensor in network.state_dict().items():
                home, parts = self, name.split(".")
                for part in parts[:-1]:
                    if not hasattr(home, part):
                        home.add_module(part, torch.nn.Module())
                    home = getattr(home, part)
                home.register_buffer(parts[-1], tensor.half())
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(1))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values

    file = tmp_path / "ViT-B-32.pt"
    torch.jit.script(Archive()).save(str(file))
    parts = {composed: file, "yolov8n_seg": "random"}
    adapter = adapters.load(composed, parts, allow_unknown_hash=True)
    torch.testing.assert_close(
        adapter.network.state_dict(), network.state_dict(), atol=1e-3, rtol=1e-3, check_dtype=False
    )
    assert not any(module.training for module in adapter.network.modules())
    with pytest.raises(InputError, match="wrong hash"):
        adapters.load(composed, parts)
    proven = Checkpoint(url=CARD.checkpoint.url, sha256=sha256(file))
    monkeypatch.setitem(cards(), composed, cards()[composed].model_copy(update={"checkpoint": proven}))
    assert adapters.load(composed, parts).weights.identity == "random", "one part still is"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is no TorchScript file"):
        adapters.load(composed, parts, allow_unknown_hash=True)


def test_the_published_size():
    with torch.device("meta"):
        network = open_clip.CLIP(**card("fast_sam_s_clip").architecture, quick_gelu=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 151_277_313


def test_without_the_extra_one_line_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.delitem(sys.modules, "adapters.clip_words", raising=False)
    with pytest.raises(InputError, match=r"pip install 'sambench\[text\]'"):
        adapters.load("fast_sam_s_clip", "random")
    monkeypatch.delitem(sys.modules, "adapters.clip_words", raising=False)
