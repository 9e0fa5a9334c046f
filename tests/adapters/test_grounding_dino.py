"""Grounding DINO with random weights against transformers' own processor, and against its rules written plainly."""

from __future__ import annotations

import socket
import sys

import numpy as np
import pytest
import torch

import adapters
from adapters.cards import card
from adapters.errors import InputError
from adapters.grounding import GroundSettings
from adapters.prompts import Words
from tests.small_words import SMALL, register

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

CAPTIONS = [
    "a dog. a cat",
    "Skateboarder. potted plant. x",
    "dog. hot dog. dog. dogs",
    "T-shirt? éléphant. 狗 🐘. it's",
]
LOOSE = GroundSettings(threshold=0.93, text_threshold=0.7)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Make the small detector known, images smaller, and any connection an error."""

    def refused(*_):
        raise AssertionError("a connection was tried")

    register(monkeypatch)
    monkeypatch.setattr("adapters.grounding_dino.SHORTEST", 160)
    monkeypatch.setattr("adapters.grounding_dino.LONGEST", 266)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(scope="module")
def detector():
    """Return the small detector with random weights, whose answers aren't all sure."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        adapter = adapters.load("small_dino", "random")
    adapter.network.model.decoder.layer_norm.weight.mul_(0.3)
    return adapter


@pytest.fixture(scope="module")
def processor():
    """Return transformers' processor with the vocabulary for random weights."""
    from adapters.captions import letters

    module = transformers.models.grounding_dino.image_processing_pil_grounding_dino
    tokenizer = transformers.BertTokenizer(vocab=letters())
    return transformers.GroundingDinoProcessor(module.GroundingDinoImageProcessorPil(), tokenizer)


@pytest.mark.parametrize("caption", CAPTIONS)
def test_boxes_scores_and_labels_are_transformers(detector, processor, scene, caption):
    """Their processor makes the pixels and tokens, and reads the same network's output."""
    words = Words.from_caption(caption)
    written = ". ".join(phrase.lower() for phrase in words.phrases) + "."
    small = {"shortest_edge": 160, "longest_edge": 266}
    inputs = processor(images=scene, text=written, return_tensors="pt", size=small)
    with torch.inference_mode():
        outputs = detector.network(**inputs)
    settings = {"threshold": LOOSE.threshold, "text_threshold": LOOSE.text_threshold}
    (theirs,) = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], target_sizes=[scene.shape[:2]], **settings
    )
    order = np.argsort(-theirs["scores"].numpy(), kind="stable")
    ours = detector.ground(detector.encode(scene), words, LOOSE)
    assert 10 < len(ours) < 60, "the threshold tells queries apart"
    np.testing.assert_allclose(ours.scores, theirs["scores"].numpy()[order], atol=1e-5)
    np.testing.assert_allclose(ours.boxes, theirs["boxes"].numpy()[order], atol=1e-2)
    assert ours.labels == [theirs["text_labels"][row] for row in order]
    assert len(set(ours.labels)) > 1


@pytest.mark.parametrize("shape", [(480, 640), (333, 500), (500, 333), (800, 800), (90, 1200), (1500, 200), (7, 5)])
def test_images_are_resized_and_normalised_as_by_transformers(detector, processor, shape, monkeypatch):
    monkeypatch.undo()
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = processor.image_processor(image, return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(detector.encode(image).pixels, theirs, atol=1e-5)


def test_an_image_of_any_shape_is_taken(detector, monkeypatch):
    monkeypatch.undo()
    for shape in ((1, 3000), (3000, 1), (1, 1)):
        assert min(detector.encode(np.zeros((*shape, 3), np.uint8)).pixels.shape) >= 1


@pytest.mark.parametrize("caption", CAPTIONS)
def test_each_token_belongs_to_the_phrase_it_stands_in(detector, processor, caption):
    """Against the places that transformers' tokenizer gives its tokens in the text, sub-words and repetitions too."""
    words = Words.from_caption(caption)
    written = ". ".join(words.phrases) + "."
    theirs = processor.tokenizer(written, return_offsets_mapping=True)
    ((tokens, owners),) = detector.captions.of(words)
    assert tokens == theirs["input_ids"]
    ends = np.cumsum([len(phrase) + 2 for phrase in words.phrases])
    for (start, stop), owner in zip(theirs["offset_mapping"], owners, strict=True):
        phrase = int(np.searchsorted(ends, start, side="right"))
        between = start == stop or written[start] == "."
        assert owner == (-1 if between else phrase)
    assert set(owners) == {-1, *range(len(words))}


def test_a_query_s_phrase_holds_the_token_of_highest_probability(detector, scene):
    """Where words repeat, and one is part of another, their texts could not tell."""
    words = Words.from_caption("dog. hot dog. a dog in the snow. hotdog")
    embedding = detector.encode(scene)
    ((tokens, owners),) = detector.captions.of(words)
    with torch.inference_mode():
        output = detector.network(pixel_values=embedding.pixels, input_ids=torch.tensor([tokens]))
    expected = []
    for logits in output.logits[0].tolist():
        highest, phrase = -np.inf, None
        for column, owner in enumerate(owners):
            if owner >= 0 and logits[column] > highest:
                highest, phrase = logits[column], owner
        expected.append(phrase)
    scores = output.logits[0].sigmoid().amax(1).numpy()
    order = np.argsort(-scores, kind="stable")
    found = detector.ground(embedding, words, GroundSettings(threshold=0.0))
    np.testing.assert_allclose(found.scores, scores[order], atol=1e-6)
    assert found.phrases.tolist() == [expected[row] for row in order]
    assert len(set(found.phrases.tolist())) > 2


def test_many_phrases_are_asked_in_several_captions(detector, scene):
    words = Words.from_phrases([f"thing number {number}" for number in range(300)])
    captions = list(detector.captions.of(words))
    assert len(captions) > 5
    assert max(len(tokens) for tokens, _ in captions) <= 256
    assert all(tokens[0] == 101 and tokens[-1] == 102 and tokens[-2] == 1012 for tokens, _ in captions)
    owners = [owner for _, owned in captions for owner in owned if owner >= 0]
    assert owners == sorted(owners)
    assert set(owners) == set(range(300))
    few = Words.from_phrases(words.phrases[:90])
    found = detector.ground(detector.encode(scene), few, GroundSettings(threshold=0.0))
    assert len(found) == 60 * len(list(detector.captions.of(few)))
    assert (np.diff(found.scores) <= 0).all()
    assert found.phrases.max() > 60


def test_each_caption_finds_what_it_finds_alone(detector, scene):
    """Passes differ by their words only: the second one's detections are those of its own phrases asked alone."""
    phrases = [f"some thing {number}" for number in range(60)]
    embedding = detector.encode(scene)
    captions = list(detector.captions.of(Words.from_phrases(phrases)))
    first_of_second = min(owner for owner in captions[1][1] if owner >= 0)
    settings = GroundSettings(threshold=0.0)
    whole = detector.ground(embedding, Words.from_phrases(phrases), settings)
    alone = detector.ground(embedding, Words.from_phrases(phrases[first_of_second:]), settings)
    mine = whole[np.flatnonzero(whole.phrases >= first_of_second)]
    assert len(captions) == 2
    np.testing.assert_allclose(np.sort(mine.scores), np.sort(alone.scores), atol=1e-6)
    np.testing.assert_array_equal(np.sort(mine.phrases), np.sort(alone.phrases + first_of_second))


@pytest.mark.parametrize(
    ("phrases", "said"),
    [
        (["word " * 300], "phrase 0 has .* tokens, a caption holds 253"),
        (["dog", "\x00\x07"], "nothing in phrase 1 "),
        (["dog", "\u200b"], "nothing in phrase 1 "),
    ],
)
def test_what_cannot_be_asked_gets_one_line(detector, scene, phrases, said):
    with pytest.raises(InputError, match=f"small_dino: {said}") as caught:
        detector.ground(detector.encode(scene), Words.from_phrases(phrases))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["狗", "🐘", "éléphant", "كلب", "[SEP] [CLS] [PAD]", "<script>", "a" * 200, "?!", "..a"]
)
def test_any_other_text_gets_an_answer(detector, scene, text):
    words = Words.from_phrases([text, "dog"])
    ((tokens, _),) = detector.captions.of(words)
    assert tokens.count(101) == tokens.count(102) == 1, "what looks like a mark is text"
    found = detector.ground(detector.encode(scene), words)
    assert set(found.phrases.tolist()) <= {0, 1}


def test_nothing_is_found_above_every_score(detector, scene):
    found = detector.ground(detector.encode(scene), Words.from_caption("dog"), GroundSettings(threshold=1.0))
    assert (len(found), found.boxes.shape, found.labels) == (0, (0, 4), [])


def test_random_weights_are_the_same_every_time_and_few_of_their_detections_go_on(scene):
    first, second = (adapters.load("small_dino", "random") for _ in range(2))
    answers = [one.ground(one.encode(scene), Words.from_caption("a dog")) for one in (first, second)]
    np.testing.assert_array_equal(answers[0].boxes, answers[1].boxes)
    assert len(answers[0]) == 8
    assert first.parameters() == SMALL.parameters


@pytest.mark.parametrize("name", ["grounding_dino_tiny", "grounding_dino_base"])
def test_the_published_sizes(name):
    chosen = card(name)
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(**chosen.architecture["backbone"], out_indices=[2, 3, 4])
    )
    with torch.device("meta"):
        network = transformers.GroundingDinoForObjectDetection(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == chosen.parameters


def test_the_published_files(shared):
    from tests.conftest import read_json

    published = read_json(shared / "reference" / "checkpoints_more.json")["checkpoints"]
    for name in ("tiny", "base"):
        facts, checkpoint = published[f"grounding_dino_{name}_hf"], card(f"grounding_dino_{name}").checkpoint
        assert (checkpoint.url, checkpoint.bytes, checkpoint.sha256) == (facts["url"], facts["bytes"], facts["sha256"])
        vocabulary = published["grounding_dino_tiny_hf"]["also_needed"]["vocab.txt"][1]
        assert checkpoint.beside == {"vocab.txt": vocabulary}


@pytest.fixture
def folder(detector, tmp_path):
    """Return a folder as it is published: transformers' own file of the weights, and a vocabulary."""
    from adapters.captions import letters

    detector.network.save_pretrained(tmp_path / "published")
    lines = {number: piece for piece, number in letters().items()}
    text = "\n".join(lines.get(number, f"[unused{number}]") for number in range(max(lines) + 1))
    (tmp_path / "published" / "vocab.txt").write_text(text + "\n", "utf-8")
    return tmp_path / "published"


def test_weights_are_read_from_a_folder(detector, folder, scene):
    loaded = adapters.load("small_dino", folder, allow_unknown_hash=True)
    words = Words.from_caption("a dog. a cat")
    ours, theirs = (one.ground(one.encode(scene), words, LOOSE) for one in (loaded, detector))
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert ours.labels == theirs.labels
    assert loaded.grounding.max_detections is None
    assert not any(module.training for module in loaded.network.modules())


def test_a_folder_of_other_things_gets_one_line(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    file = folder / "model.safetensors"

    def line(**options: bool) -> str:
        with pytest.raises(InputError, match="small_dino") as caught:
            adapters.load("small_dino", folder, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "vocab.txt, which is needed beside model.safetensors, isn't the published file" in line()
    save_file({name: tensor for name, tensor in state.items() if name != "model.level_embed"}, file)
    assert "1 keys missing: model.level_embed" in line(allow_unknown_hash=True)
    save_file({**state, "more": torch.zeros(2)}, file)
    assert "1 keys unexpected: more" in line(allow_unknown_hash=True)
    save_file({**state, "model.level_embed": torch.zeros(3)}, file)
    assert "of another shape" in line(allow_unknown_hash=True)
    file.write_bytes(b"no tensors")
    assert "can't be read as safetensors" in line(allow_unknown_hash=True)
    (folder / "vocab.txt").write_text("a\nb\n")
    assert "isn't BERT's uncased vocabulary" in line(allow_unknown_hash=True)
    (folder / "vocab.txt").unlink()
    assert "vocab.txt, which is needed beside model.safetensors, is missing" in line(allow_unknown_hash=True)
    file.unlink()
    assert f"no checkpoint at {file}" in line()


def test_the_published_file_s_tables_of_positions_are_let_pass(folder):
    """Files of before transformers 5 hold Swin's index tables, which the network computes."""
    from safetensors.torch import load_file, save_file

    table = "model.backbone.conv_encoder.model.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    state = load_file(folder / "model.safetensors")
    save_file({**state, table: torch.zeros(49, 49, dtype=torch.int64)}, folder / "model.safetensors")
    assert adapters.load("small_dino", folder, allow_unknown_hash=True).parameters() == SMALL.parameters


def test_half_precision(scene):
    adapter = adapters.load("small_dino", "random", dtype="bf16")
    found = adapter.ground(adapter.encode(scene), Words.from_caption("a dog"))
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)


def test_without_the_extra_one_line_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "adapters.grounding_dino", raising=False)
    with pytest.raises(InputError, match=r"pip install 'sambench\[text\]'") as caught:
        adapters.load("small_dino", "random")
    assert "\n" not in str(caught.value)
