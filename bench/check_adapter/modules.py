"""Which torch modules an adapter is made of, wherever it keeps them."""

from __future__ import annotations

import gc
from collections.abc import Callable

from torch import nn

from adapters.adapter import Adapter


class Modules:
    """Loads an adapter and finds the modules that are there since.

    Attributes:
        adapter: what was loaded.
        found: its modules, submodules included.
    """

    def __init__(self, load: Callable[[], Adapter]) -> None:
        before = _all()  # held, so that no new module can have the address of an old one
        self.adapter = load()
        gc.collect()
        known = {id(module) for module in before}
        own = [value for value in vars(self.adapter).values() if isinstance(value, nn.Module)]
        new = [module for module in _all() if id(module) not in known]
        self.found = [*new, *(inner for module in own for inner in module.modules())]


def _all() -> list[nn.Module]:
    return [held for held in gc.get_objects() if issubclass(type(held), nn.Module)]
