"""Durations as ratios to a model that was measured in both files, which carry over from machine to machine better."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.errors import unknown
from bench.latency.record import Key, Record, Row

FIELDS = ("model", "weights", "device", "dtype", "runtime", "stage", "n_prompts", "batch")
CONDITION = ("device", "dtype", "runtime")


class Reference:
    """The rows of a reference model, in two files.

    Args:
        model: its name.
        base, new: the files.

    Raises:
        InputError: where one of the files has no row of the model; it says the nearest name there is.
    """

    def __init__(self, model: str, base: Record, new: Record) -> None:
        self.model = model
        self._rows = []
        for record in (base, new):
            found = {beside(row.key): row for row in record.rows if row.model == model and row.status == "measured"}
            if not found:
                raise unknown("model in both files", model, {row.model for row in record.rows})
            self._rows.append(found)

    def beside(self, base: Row, new: Row) -> tuple[Row, Row] | None:
        """Return the reference's rows of the same stages and conditions, None where one is missing."""
        found = [rows.get(beside(row.key)) for rows, row in zip(self._rows, (base, new), strict=True)]
        return None if found[0] is None or found[1] is None else (found[0], found[1])


def beside(key: Key) -> tuple[str | int, ...]:
    """Return what of a row's key its reference must share: all but model and weights."""
    return key[FIELDS.index("device") :]


def other_conditions(base: Sequence[Row], new: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Return the conditions that each file has one value of, but another one: fp32 there and bf16 here.

    With ratios these may differ, and rows that differ in nothing else belong together.
    """
    found = {}
    for name in CONDITION:
        before, now = ({str(getattr(row, name)) for row in rows} for rows in (base, new))
        if len(before) == len(now) == 1 and before != now:
            found[name] = (before.pop(), now.pop())
    return found
