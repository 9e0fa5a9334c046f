"""What one process is asked to measure: one model under one condition."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.checkpoints import Weights
from bench.latency.record import Row
from bench.latency.stages import stage


class Spec(BaseModel):
    """One model under one condition.

    Attributes:
        model, weights, device, dtype, runtime: the condition.
        stages: names of what is measured.
        images: files, used in turn.
        samples, seconds: how much is measured (bench.latency.measure.Amount).
        seed: of the prompts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights: Weights
    device: str
    dtype: str
    runtime: str
    stages: tuple[str, ...]
    images: tuple[Path, ...]
    samples: int
    seconds: float
    seed: int = 0

    def rows(self) -> list[Row]:
        """Return a row for each stage, nothing in it yet."""
        return [
            Row(
                model=self.model,
                weights=self.weights.short,
                device=self.device,
                dtype=self.dtype,
                runtime=self.runtime,
                stage=asked.name,
                n_prompts=asked.n_prompts,
                batch=asked.batch,
            )
            for asked in map(stage, self.stages)
        ]
