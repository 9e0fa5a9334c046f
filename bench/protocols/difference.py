"""How two protocols differ, knob by knob."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.protocols.protocol import NAMING, Protocol


class Differing(NamedTuple):
    """A knob's dotted key and its value in each of two protocols; None where the section isn't there."""

    key: str
    first: Any
    second: Any


def knobs(protocol: Protocol) -> dict[str, Any]:
    """Return all knobs by dotted key; a section that isn't there is one key with None."""
    flat: dict[str, Any] = {}
    for key, value in protocol.model_dump(mode="json", exclude=NAMING).items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": own for inner, own in value.items()}
        else:
            flat[key] = value
    return flat


def difference(first: Protocol, second: Protocol) -> list[Differing]:
    """Return the knobs in which two protocols differ.

    A section that only one of them has is one difference, shown as "yes" and None, not one for each knob in it.
    """
    ours, theirs = knobs(first), knobs(second)
    found = []
    for key in dict.fromkeys([*ours, *theirs]):
        section = key.partition(".")[0]
        if section in ours or section in theirs:
            if key == section and ours.get(key, "yes") != theirs.get(key, "yes"):
                found.append(Differing(key, ours.get(key, "yes"), theirs.get(key, "yes")))
        elif ours[key] != theirs[key]:
            found.append(Differing(key, ours[key], theirs[key]))
    return found
