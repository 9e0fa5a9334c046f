"""Model families behind one prompt interface. Knows nothing of datasets, metrics or files of results."""

from adapters import prompts
from adapters.registry import card, family, load, names

__all__ = ["card", "family", "load", "names", "prompts"]
