"""How large a model is and how many operations it takes, counted by torch on tensors that have shapes and no content.

Published counts differ because counters do: by a factor of two (a multiplication and an addition are one MAC or two
FLOPs, and either name stands over either number), and by attention, whose products of two activations belong to no
layer, so that counters that go by layers miss them. Here everything torch counts is in (torch.utils.flop_counter:
convolutions and matrix products; no normalisations, activations, softmax or resizing), and what attention adds is
named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from adapters.checkpoints import RANDOM, resolve
from adapters.errors import InputError
from adapters.registry import card, family
from adapters.sam_like.adapter import SamEmbedding, SamLike
from adapters.sam_like.decoder import Module

if TYPE_CHECKING:
    from adapters.fast_sam import FastSam

SIDE = 1024
_OF_ACTIVATIONS = (torch.ops.aten.bmm, torch.ops.aten.baddbmm)


@dataclass(frozen=True)
class Complexity:
    """Parameters, and operations for one square image and one point.

    Attributes:
        parameters, encoder_parameters, decoder_parameters: how many are loaded; the decoder's include the prompt
            encoder's.
        encoder_flops: for the network's input made of a 1024x1024 image.
        decoder_flops: of the mask decoder as its authors wrote it, for one point, all masks; 0 where masks are chosen
            among the encoder's.
        encoder_attention_flops: what of the encoder's are products of two activations.
    """

    parameters: int
    encoder_parameters: int
    decoder_parameters: int
    encoder_flops: int
    decoder_flops: int
    encoder_attention_flops: int

    @property
    def encoder_macs(self) -> int:
        """The encoder's multiply-accumulates, half its FLOPs."""
        return self.encoder_flops // 2

    @property
    def decoder_macs(self) -> int:
        """The decoder's multiply-accumulates, half its FLOPs."""
        return self.decoder_flops // 2

    @property
    def encoder_attention_macs(self) -> int:
        """The multiply-accumulates of the encoder's products of two activations."""
        return self.encoder_attention_flops // 2


def complexity(name: str) -> Complexity:
    """Count a model's parameters and operations; its weights aren't needed, nor their memory.

    The encoder is counted as it runs: what an adapter fuses is fused. The decoder counted is segment_anything's own
    MaskDecoder on the prompt's embedding, padding included, and not the shortened one that adapters run
    (adapters/sam_like/decoder.py).

    Raises:
        InputError: for an unknown model, and for one without a network.
    """
    chosen = card(name)
    if chosen.parameters == 0:
        raise InputError(f"{name} has no network whose operations could be counted")
    if "text" in chosen.prompts:
        raise InputError(f"{name}: its operations depend on the words")
    build, weights = family(name).build, resolve(chosen, RANDOM)
    if chosen.family == "fast_sam":
        return _of_detector(build(chosen, weights, "cpu", "fp32"))
    with torch.device("meta"):
        adapter = build(chosen, weights, "meta", "fp32")
    if not isinstance(adapter, SamLike):
        raise InputError(f"{name}: it isn't known which parts of it encode and decode")
    return _of_sam_like(adapter)


def count(run: Callable[[], object]) -> tuple[int, int]:
    """Return the FLOPs of a call, and what of them are products of two activations.

    Attention is split into its matrix products first: not every fused kernel is known to torch's counter.
    """
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    by_operator = counter.get_flop_counts()["Global"]
    return counter.get_total_flops(), sum(by_operator.get(operator, 0) for operator in _OF_ACTIVATIONS)


def _of_sam_like(adapter: SamLike) -> Complexity:
    model: Module = adapter.module
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    held, decoding = adapter.parameters(), _parameters(model.prompt_encoder) + _parameters(model.mask_decoder)
    encoder, attention = count(lambda: adapter.encode(black))
    embedding, point = adapter.encode(black), _one_point(adapter)
    assert isinstance(embedding, SamEmbedding)
    features = embedding.features
    decoder, _ = count(lambda: model.mask_decoder(features, features, point, features, True))
    return Complexity(held, held - decoding, decoding, encoder, decoder, attention)


def _of_detector(adapter: FastSam) -> Complexity:
    network, held = adapter.network, adapter.parameters()
    network.load_state_dict({name: own.to("meta") for name, own in network.state_dict().items()}, assign=True)
    flops, attention = count(lambda: network(torch.empty(1, 3, SIDE, SIDE, device="meta")))
    return Complexity(held, held, 0, flops, 0, attention)


def _one_point(adapter: SamLike) -> Tensor:
    """Return the shape of a point's embedding and of what output tokens the family has beside SAM's.

    To find where padding goes, content is looked at, whatever it is.
    """
    model: Module = adapter.module
    model.prompt_encoder.to_empty(device="cpu")
    point = adapter.prompt_encoder.sparse(None, torch.zeros(1, 1, 2), torch.ones(1, 1)).to("meta")
    return F.pad(point, (0, 0, adapter.decoder.leading, 0))


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
