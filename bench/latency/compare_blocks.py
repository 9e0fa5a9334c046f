"""Which samples belong together: those taken on one image, or those taken in one round of measuring in turn."""

from __future__ import annotations

from collections.abc import Sequence

from bench.latency.record import Record, Row
from bench.latency.record_file import named

IN_TURN = "in_turn"
"""In the settings of two records that were measured in turn: ``with``, alike in both and nowhere else, and ``counts``,
which says for each row how many samples each process took; two processes on each side make a round."""

_WITHOUT_IMAGE = ("load",)


def in_turn(base: Record, new: Record) -> bool:
    """Return whether two records were measured in turn with each other."""
    partners = [(record.settings.get(IN_TURN) or {}).get("with") for record in (base, new)]
    return partners[0] is not None and partners[0] == partners[1]


def blocks_of(row: Row, record: Record) -> Sequence[int] | None:
    """Return which block each sample of a row belongs to, None where that isn't known.

    In records measured in turn that is the round. In others, if one process measured the row, it is the image: they are
    used in turn from the first call on, and the first call and the warm-ups give no sample.
    """
    turns = record.settings.get(IN_TURN)
    if turns is not None:
        counts = turns["counts"].get(named(row.key), [])
        rounds = [process // 2 for process, count in enumerate(counts) for _ in range(count)]
        return rounds if len(rounds) == len(row.samples) else None
    images = record.settings.get("images")
    if len(row.processes) > 1:
        return None
    if not isinstance(images, list) or len(images) < 2 or row.batch != 1 or row.stage in _WITHOUT_IMAGE:
        return None
    first = 1 + row.warmups
    return [number % len(images) for number in range(first, first + len(row.samples))]
