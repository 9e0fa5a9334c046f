"""The one error a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something that was given can't be used.

    ``str(error)`` is one line: what is wrong, where, and how to mend it.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that isn't one of ``known``, with the nearest one that is."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices)}"
    return InputError(f"unknown {kind} {name!r}: {hint}")
