"""Latency rows and files of noise of a known kind."""

from __future__ import annotations

import json

import numpy as np

from bench.latency.record import Record, Row

SAMPLES = 50
"""As many as sambench latency takes, if nothing else is asked for."""

ENVIRONMENT = {"threads": 2, "versions": {"torch": "2.15.0", "sambench": "0.1.0"}, "load_average_before": 0.1}


def noise(rng, correlation, count=SAMPLES, spread=0.05):
    values = np.empty(count)
    values[0] = rng.normal()
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + np.sqrt(1 - correlation**2) * rng.normal()
    return 0.01 * np.exp(spread * values)


def row(model="m", stage="encode", factor=1.0, seed=0, count=SAMPLES, **other):
    samples = factor * noise(np.random.default_rng([seed, *map(ord, model + stage)]), 0, count, 0.01)
    known = {"weights": "random", "device": "cpu", "dtype": "fp32", "runtime": "eager", "n_prompts": 0, "batch": 1}
    return Row(**{**known, "model": model, "stage": stage, "status": "measured", "samples": list(samples), **other})


def record(*rows, environment=None, machine=None, settings=None, **other):
    return Record(
        **{"started": "2026-01-01T00:00:00+00:00", "status": "complete", **other},
        machine={"cpu": "one", "cores": 2, "gpu": None, **(machine or {})},
        environment={**ENVIRONMENT, **(environment or {})},
        settings=settings or {"seed": 0},
        rows=list(rows),
    )


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
