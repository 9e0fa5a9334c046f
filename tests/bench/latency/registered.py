"""Registers the sleeping models in a process of its own (SAMBENCH_PLUGINS=tests.bench.latency.registered)."""

import sys

from adapters.cards import cards
from tests.bench.latency import sleeping

cards().update({name: sleeping.card(name) for name in sleeping.NAMES})
sys.modules[f"adapters.{sleeping.FAMILY}"] = sleeping
