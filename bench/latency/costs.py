"""What a stage's call costs in operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.adapter import Adapter
from adapters.errors import InputError
from bench.latency import stages
from bench.latency.stages import Stage

if TYPE_CHECKING:
    from adapters.complexity import Complexity


class Costs:
    """A model's parameters, and the multiply-accumulates of its stages (adapters.complexity) where they are known."""

    def __init__(self, adapter: Adapter) -> None:
        self.parameters = adapter.parameters()
        self._counted = _counted(adapter)

    def macs(self, stage: Stage) -> int | None:
        """Return the multiply-accumulates of a call; None where they aren't counted, as for several prompts at once."""
        if self._counted is None:
            return None
        if stage.name == stages.ENCODE or stage.name.startswith("encode_batch"):
            return stage.batch * self._counted.encoder_macs
        if stage.name.startswith("decode") and stage.n_prompts == 1:
            return self._counted.decoder_macs
        if stage.name == stages.END_TO_END:
            return self._counted.encoder_macs + self._counted.decoder_macs
        return None


def _counted(adapter: Adapter) -> Complexity | None:
    if not adapter.parameters():
        return None
    from adapters.complexity import complexity

    try:
        return complexity(adapter.card.name)
    except InputError:
        return None
