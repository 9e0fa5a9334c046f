"""What must be alike for two measurements to be compared, and what is only said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.latency.compare_blocks import IN_TURN, in_turn
from bench.latency.record import VARYING, Record

MATTERS = {
    "machine.cpu": "CPU",
    "machine.cores": "cores",
    "machine.usable_cores": "usable cores",
    "machine.gpu": "GPU",
    "environment.threads": "threads",
    "environment.tf32": "TF32",
    "environment.cudnn_benchmark": "cudnn.benchmark",
    "environment.memory_kept": "freed memory kept",
    "environment.gc_disabled": "garbage collector off",
    "environment.versions.torch": "torch",
    "settings.images": "images",
    "settings.seed": "seed of the prompts",
}
"""With another value of one of these, a difference of durations says nothing about the code."""

_PART_OF_ENVIRONMENT = ("environment.versions.torch",)
_UNSAID = (*(f"environment.{name}" for name in VARYING), "environment.versions.sambench", f"settings.{IN_TURN}")
BUSIER = 0.5
"""Load averages that differ by so much are said: so many processes more, or fewer, wanted a core."""


def obstacles(base: Record, new: Record) -> list[str]:
    """Return in words the differences that forbid a comparison.

    Of two environments measured in turn on one machine, another torch is part of what is compared.
    """
    found = _differences(base, new, matter=True)
    return [
        f"{MATTERS[name]} {before} there, {now} here"
        for name, before, now in found
        if name not in _PART_OF_ENVIRONMENT or not in_turn(base, new)
    ]


def remarks(base: Record, new: Record) -> list[str]:
    """Return in words the differences that don't forbid it, load on the machine among them."""
    differences = list(_differences(base, new, matter=False))
    if in_turn(base, new):
        differences += [own for own in _differences(base, new, matter=True) if own[0] in _PART_OF_ENVIRONMENT]
    found = [f"{name} {before} there, {now} here" for name, before, now in differences]
    loads = [_load(record) for record in (base, new)]
    if None not in loads and abs(loads[0] - loads[1]) >= BUSIER:  # type: ignore[operator]
        found.append(f"load average when it began {loads[0]:.1f} there, {loads[1]:.1f} here")
    return found


def _differences(base: Record, new: Record, matter: bool) -> Iterator[tuple[str, str, str]]:
    before, now = _flat(base), _flat(new)
    for name in dict.fromkeys([*before, *now]):
        unsaid = any(name == own or name.startswith(f"{own}.") for own in _UNSAID)
        if (name in MATTERS) == matter and not unsaid and before.get(name) != now.get(name):
            first, second = _shown(before.get(name)), _shown(now.get(name))
            yield name, first, second if second != first else "others of that number"


def _flat(record: Record) -> dict[str, Any]:
    parts = {"machine": record.machine, "environment": record.environment, "settings": record.settings}
    return dict(_leaves(parts))


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{len(value)} of them" if isinstance(value, list) else str(value)


def _load(record: Record) -> float | None:
    load = record.environment.get("load_average_before")
    first = load[0] if isinstance(load, list) and load else load
    return float(first) if isinstance(first, int | float) else None
