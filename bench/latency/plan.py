"""From what was asked for to what each process measures, and the record that it is to fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from adapters import card, devices, runtimes
from adapters.checkpoints import Weights
from adapters.errors import InputError
from bench.conditions import prepare
from bench.latency import environment
from bench.latency.inputs import identity
from bench.latency.measure import RULE
from bench.latency.pulse import RULE as PULSE
from bench.latency.record import Record, now
from bench.latency.spec import Spec
from bench.latency.stages import Stage, obstacle


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    Attributes:
        weights: model -> its weights, proven.
        device: auto, cpu, cuda or cuda:N.
        dtypes, runtimes: each model runs under all combinations.
        stages: what is timed; a model that hasn't one goes without it.
        images: files, used in turn.
        samples, seconds: how much is measured (bench.latency.measure.Amount).
        seed: of the prompts.
        processes: that share the samples (bench.latency.execute).
    """

    weights: Mapping[str, Weights]
    device: str
    dtypes: Sequence[str]
    runtimes: Sequence[str]
    stages: Sequence[Stage]
    images: Sequence[Path]
    samples: int
    seconds: float
    seed: int = 0
    processes: int = 1


def plan(asked: Asked) -> tuple[Record, list[Spec]]:
    """Return a record with a row for each stage, nothing measured yet, and the specs that will fill it.

    Raises:
        InputError: for a device, precision or runtime that isn't there, or if no model has any of the stages.
    """
    _check(asked)
    conditions = prepare(asked.device, asked.dtypes[0])
    for dtype in asked.dtypes:
        devices.check(conditions.device, dtype)
    specs = [
        _spec(asked, model, conditions.device, dtype, runtime)
        for model, dtype, runtime in product(asked.weights, asked.dtypes, asked.runtimes)
    ]
    specs = [spec for spec in specs if spec.stages]
    if not specs:
        raise InputError("; ".join(sorted(set(left_out(asked)))))
    record = Record(
        started=now(),
        machine=environment.machine(conditions.gpu),
        environment=environment.environment(conditions),
        settings={
            "samples": asked.samples,
            "seconds": asked.seconds,
            "warm_up": RULE,
            "pulse": PULSE,
            "processes": asked.processes,
            "seed": asked.seed,
            "images": identity(asked.images),
        },
        rows=[row for spec in specs for row in spec.rows()],
    )
    return record, specs


def left_out(asked: Asked) -> list[str]:
    """Return in words what models can't be asked."""
    found = (obstacle(card(model), stage) for model, stage in product(asked.weights, asked.stages))
    return list(dict.fromkeys(why for why in found if why is not None))


def _check(asked: Asked) -> None:
    if asked.samples < 1 or not asked.seconds > 0:
        raise InputError("--samples: at least 1 needed; --seconds: more than 0 needed")
    if not asked.dtypes or not asked.runtimes:
        raise InputError("--dtype and --runtime: at least one of each needed")
    for runtime in asked.runtimes:
        runtimes.check(runtime)


def _spec(asked: Asked, model: str, device: str, dtype: str, runtime: str) -> Spec:
    return Spec(
        model=model,
        weights=asked.weights[model],
        device=device,
        dtype=dtype,
        runtime=runtime,
        stages=tuple(stage.name for stage in asked.stages if obstacle(card(model), stage) is None),
        images=tuple(asked.images),
        samples=asked.samples,
        seconds=asked.seconds,
        seed=asked.seed,
    )
