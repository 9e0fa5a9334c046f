"""What a model costs, counted from the model itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.complexity import Complexity


def cost(model: str, figure: str) -> float:
    """Return a figure: params in millions (_m), multiply-accumulates in billions (_g).

    encoder_layer_macs_g leaves out attention's products of two activations, as counters that go by layers do.

    Raises:
        InputError: where the model can't be built here.
    """
    counted = _counted(model)
    figures = {
        "params_m": counted.parameters / 1e6,
        "encoder_params_m": counted.encoder_parameters / 1e6,
        "decoder_params_m": counted.decoder_parameters / 1e6,
        "encoder_macs_g": counted.encoder_macs / 1e9,
        "encoder_layer_macs_g": (counted.encoder_macs - counted.encoder_attention_macs) / 1e9,
        "decoder_macs_g": counted.decoder_macs / 1e9,
    }
    return figures[figure]


@cache
def _counted(model: str) -> Complexity:
    from adapters.complexity import complexity

    return complexity(model)
