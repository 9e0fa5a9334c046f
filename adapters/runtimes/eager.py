"""As the adapter is."""

from __future__ import annotations

from adapters.adapter import Adapter


def build(adapter: Adapter) -> tuple[Adapter, dict[str, float]]:
    """Return the adapter."""
    return adapter, {}
