"""The sleeping models, in this process or in those that the command line starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from adapters.cards import cards
from adapters.checkpoints import NONE, Weights
from bench.cli import main
from bench.latency.inputs import Inputs
from bench.latency.plugins import VARIABLE
from bench.latency.spec import Spec
from tests.bench.latency import sleeping

REGISTERED = "tests.bench.latency.registered"


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the sleeping models in this process, for one test."""
    for name in sleeping.NAMES:
        monkeypatch.setitem(cards(), name, sleeping.card(name))
    monkeypatch.setitem(sys.modules, f"adapters.{sleeping.FAMILY}", sleeping)


@pytest.fixture
def sleeper() -> Callable[[str], sleeping.Sleeping]:
    """Return a function that makes a sleeping model."""
    return lambda name="sleeping": sleeping.Sleeping(sleeping.card(name), Weights(NONE, official=True))


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    """Return six small distinct images."""
    rng = np.random.default_rng(0)
    return Inputs([rng.integers(0, 255, (60, 80, 3), np.uint8) for _ in range(6)])


@pytest.fixture(scope="session")
def image_folder(inputs, tmp_path_factory):
    """Return a folder of the same."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(len(inputs)):
        Image.fromarray(inputs.image(index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def spec(image_folder) -> Callable[..., Spec]:
    """Return a function that makes a small spec."""

    def made(**values: object) -> Spec:
        defaults = {
            "model": "sleeping",
            "weights": Weights(NONE, official=True),
            "device": "cpu",
            "dtype": "fp32",
            "runtime": "eager",
            "stages": ("decode_point1",),
            "images": tuple(sorted(image_folder.iterdir())),
            "samples": 3,
            "seconds": 0.01,
        }
        return Spec(**{**defaults, **values})

    return made


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def sambench(sleepers, monkeypatch, capsys) -> Callable[..., Done]:
    """Return a function that runs the command line in this process; what it starts knows the sleeping models too."""
    monkeypatch.setenv(VARIABLE, REGISTERED)
    monkeypatch.setitem(sys.modules, REGISTERED, ModuleType(REGISTERED))  # in this process they are registered

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["sambench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def environment() -> dict[str, str]:
    """Return the environment in which the sleeping models are known."""
    return {**os.environ, VARIABLE: REGISTERED}
