"""A Grounding DINO of 1.5 million parameters with random weights, for tests of what takes words."""

from __future__ import annotations

import pytest

from adapters.cards import Checkpoint, ModelCard, card, cards

SMALL = card("grounding_dino_tiny").model_copy(
    update={
        "name": "small_dino",
        "parameters": 1473039,
        "architecture": {
            "backbone": {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]},
            "network": {
                "d_model": 32,
                "num_queries": 60,
                "encoder_layers": 2,
                "decoder_layers": 2,
                "encoder_ffn_dim": 64,
                "decoder_ffn_dim": 64,
                "encoder_attention_heads": 4,
                "decoder_attention_heads": 4,
                "text_config": {
                    "model_type": "bert",
                    "hidden_size": 32,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "intermediate_size": 64,
                },
            },
            "grounding": {"threshold": 0.3, "text_threshold": 0.25},
        },
        "checkpoint": Checkpoint(url="https://example.org/small/model.safetensors", beside={"vocab.txt": "0" * 64}),
    }
)


def grounded(name: str, like: str, segmenter: str = "tiny", **changes: object) -> ModelCard:
    """Return the card of a composition of the small detector and a segmenter."""
    return card(like).model_copy(update={"name": name, "parts": ("small_dino", segmenter), **changes})


def register(monkeypatch: pytest.MonkeyPatch, *others: ModelCard) -> None:
    """Make cards known by their names for the length of a test."""
    for own in (SMALL, *others):
        monkeypatch.setitem(cards(), own.name, own)
