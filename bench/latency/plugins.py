"""Models that aren't the suite's own."""

from __future__ import annotations

import os
from importlib import import_module

VARIABLE = "SAMBENCH_PLUGINS"


def load_plugins() -> None:
    """Import the modules that SAMBENCH_PLUGINS names, separated by commas; they register models of theirs."""
    for name in os.environ.get(VARIABLE, "").split(","):
        if name.strip():
            import_module(name.strip())
