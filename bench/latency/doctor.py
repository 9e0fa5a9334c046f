"""Whether a machine is fit to measure on, and whether a model's times are what they seem: one finding a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapters.adapter import Adapter
from bench.latency import doctor_machine as machine
from bench.latency import doctor_model as model
from bench.latency.inputs import Inputs


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        level: good; mind, as it may disturb; unknown, where the system doesn't say; wrong, numbers would mislead.
        what: was looked at.
        line: what was found.
    """

    level: machine.Level
    what: str
    line: str


def examine(load: Callable[[], Adapter], inputs: Inputs, seconds: float) -> Iterator[Finding]:
    """Yield what is found of the machine, then of a model on it.

    Args:
        load: returns the model, anew on each call.
        inputs: images and prompts.
        seconds: the A/A run takes so long.
    """
    adapter = load()
    yield Finding(*machine.threads())
    yield Finding(*machine.governor())
    yield Finding(*machine.heat(adapter.device))
    watch = machine.Watch()
    same = model.a_a(adapter, inputs, seconds)
    yield from (Finding(*found) for found in watch.found())
    yield Finding(*same)
    yield Finding(*model.same_masks(adapter, load(), inputs))
    yield Finding(*model.no_hidden_cache(adapter, inputs))
