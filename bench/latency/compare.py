"""Two measurements, row by row: slower, faster, the same, or not to be told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.errors import InputError
from bench.holm import holm
from bench.latency.between_processes import Processes, beyond_processes, processes_of
from bench.latency.compare_blocks import blocks_of, in_turn
from bench.latency.compare_conditions import obstacles, remarks
from bench.latency.compare_rule import EFFECT, Verdict, more_samples, verdict
from bench.latency.effect import Effect, effect
from bench.latency.effect import relative as relative_effect
from bench.latency.record import Record, Row
from bench.latency.record_file import named
from bench.latency.relative import FIELDS, Reference, other_conditions

_COMMON_SHIFT = 4
"""So many rows that all changed the same way look like the machine's doing."""

Place = tuple[object, ...]
Hindrance = Literal["samples", "processes", "machine"]


@dataclass(frozen=True)
class Compared:
    """A row of both files.

    Attributes:
        base, new: the rows.
        effect: what became of the duration, or of its ratio to the reference.
        p: of the test, corrected over all rows.
        drift: the natural logarithm of what the machine's pulse changed by, 0 where it isn't known.
        verdict: see bench.latency.compare_rule.
        more: how many more samples on each side it takes to tell, None where it can be told, or where more of them
            wouldn't help.
        hindered_by: what keeps it from being told: too few samples, how far apart processes are, or that the machine
            itself changed; None where it can be told.
    """

    base: Row
    new: Row
    effect: Effect
    p: float
    drift: float
    verdict: Verdict
    more: int | None
    hindered_by: Hindrance | None


@dataclass(frozen=True)
class Comparison:
    """Two files.

    Attributes:
        rows: measured in both, in the new file's order.
        left_out: in words, the rows that couldn't be compared.
        remarks: in words, what else differs, and what it may mean.
        minimum: the least effect that counts, as a share.
        relative: the reference model, if ratios to one were compared.
    """

    rows: list[Compared]
    left_out: list[str]
    remarks: list[str]
    minimum: float
    relative: str | None

    def having(self, verdict: Verdict) -> list[Compared]:
        """Return the rows of a verdict."""
        return [row for row in self.rows if row.verdict == verdict]


def compare(base: Record, new: Record, minimum: float = EFFECT, relative: str | None = None) -> Comparison:
    """Compare two measurements.

    Args:
        base, new: as they were read (bench.latency.record_file.read).
        minimum: the least effect that counts, as a share.
        relative: compare each row's ratio to the same row of this model instead of the durations themselves.

    Raises:
        InputError: where the two mayn't be compared, in one line that names the difference, or have no row in common.
    """
    if not 0 < minimum < 1:
        raise InputError(f"the minimum effect is a share between 0 and 1, not {minimum:g}")
    said = remarks(base, new)
    hindering = obstacles(base, new)
    if hindering and relative is None:
        raise InputError(f"not comparable: {'; '.join(hindering)} (--relative MODEL compares ratios to a common model)")
    before, after = ([row for row in record.rows if row.status == "measured"] for record in (base, new))
    others = other_conditions(before, after) if relative is not None else {}
    said = [*hindering, *(f"{name} {there} there, {here} here" for name, (there, here) in others.items()), *said]
    pairs = _pairs(before, after, leave_out=others)
    if not pairs:
        raise InputError(f"no row in common: {_difference(before, after)}")
    left_out = [*_unmeasured("base", base), *_unmeasured("new", new), *_alone(before, after, pairs)]
    reference = None
    if relative is not None:
        reference = Reference(relative, base, new)
        pairs = [pair for pair in pairs if pair[1].model != relative]
        left_out += [
            f"{named(now.key)}: {relative} wasn't measured there"
            for then, now in pairs
            if not reference.beside(then, now)
        ]
        pairs = [pair for pair in pairs if reference.beside(*pair)]
        if not pairs:
            raise InputError(f"no row in common besides those of {relative}")
    effects = _Effects(base, new, reference)
    compared = _judged(
        [_Seen(*pair, effects.within(*pair), effects.of(*pair), effects.drift(*pair)) for pair in pairs], minimum
    )
    return Comparison(compared, left_out, [*said, *_common_shift(compared)], minimum, relative)


@dataclass(frozen=True)
class _Seen:
    """A row's effect by its samples alone, that with the spread of processes, and what the pulse changed by."""

    base: Row
    new: Row
    within: Effect
    effect: Effect
    drift: float


def _judged(rows: Sequence[_Seen], minimum: float) -> list[Compared]:
    judged = []
    corrected = (holm([row.effect.p for row in rows]), holm([row.within.p for row in rows]))
    for row, p, within in zip(rows, *corrected, strict=True):
        told = verdict(row.effect, p, minimum, row.drift)
        hindered: Hindrance | None = None
        if told == "can't tell":
            others = verdict(row.effect, p, minimum), verdict(row.within, within, minimum)
            hindered = "machine" if others[0] != told else "processes" if others[1] != told else "samples"
        more = more_samples(row.effect, p, minimum) if hindered == "samples" else None
        judged.append(Compared(row.base, row.new, row.effect, p, row.drift, told, more, hindered))
    return judged


@dataclass(frozen=True)
class _Effects:
    """Effects on rows, or on their ratios, between two files."""

    base: Record
    new: Record
    reference: Reference | None

    def of(self, then: Row, now: Row) -> Effect:
        """Return what became of a row, as unsure as samples and processes make it."""
        return self._compared(then, now, self._between)

    def within(self, then: Row, now: Row) -> Effect:
        """Return what became of a row by its samples alone."""
        return self._compared(then, now, self._plain)

    def drift(self, then: Row, now: Row) -> float:
        """Return the natural logarithm of what the pulse changed by; 0 where it isn't known, or where ratios count.

        It is 0, too, where the effect allows for the pulse process by process.
        """
        known = then.pulses and now.pulses and self.reference is None and not in_turn(self.base, self.new)
        return effect(then.pulses, now.pulses).logarithm if known else 0.0

    def _compared(self, then: Row, now: Row, single: Callable[[Row, Row], Effect]) -> Effect:
        own = single(then, now)
        beside = None if self.reference is None else self.reference.beside(then, now)
        return own if beside is None else relative_effect(own, single(*beside))

    def _between(self, then: Row, now: Row) -> Effect:
        found = self._plain(then, now)
        if not then.processes or not now.processes:
            return found
        before, after = (processes_of(row.samples, row.processes) for row in (then, now))
        pulses = [processes_of(row.pulses, row.beats) for row in (then, now) if row.beats and all(row.beats)]
        known = (pulses[0], pulses[1]) if len(pulses) == 2 else None
        return beyond_processes(found, Processes(before, after, in_turn(self.base, self.new), known))

    def _plain(self, then: Row, now: Row) -> Effect:
        return effect(then.samples, now.samples, blocks_of(then, self.base), blocks_of(now, self.new))


def _pairs(base: Sequence[Row], new: Sequence[Row], leave_out: Collection[str]) -> list[tuple[Row, Row]]:
    before = {_place(row, leave_out): row for row in base}
    return [(before[place], row) for row in new if (place := _place(row, leave_out)) in before]


def _place(row: Row, leave_out: Collection[str]) -> Place:
    return tuple(value for name, value in zip(FIELDS, row.key, strict=True) if name not in leave_out)


def _difference(base: Sequence[Row], new: Sequence[Row]) -> str:
    """Return in words the first field of which the two have no value in common."""
    if not base or not new:
        return f"nothing is measured in {'the base' if not base else 'the new file'}"
    for index, name in enumerate(FIELDS):
        before, now = (sorted({str(row.key[index]) for row in rows}) for rows in (base, new))
        if not set(before) & set(now):
            return f"{name} {', '.join(before)} there, {', '.join(now)} here"
    return "each has others"


def _unmeasured(side: str, record: Record) -> Iterator[str]:
    state = f"{record.status}: {record.error}" if record.error else record.status
    for row in record.rows:
        if row.status == "missing":
            yield f"{side}: {named(row.key)} is missing (the measurement is {state})"
        elif row.status == "failed":
            yield f"{side}: {named(row.key)} failed: {row.reason}"


def _alone(base: Sequence[Row], new: Sequence[Row], pairs: Sequence[tuple[Row, Row]]) -> Iterator[str]:
    """Yield the rows that one file alone has measured."""
    paired = {id(row) for pair in pairs for row in pair}
    for side, rows in (("base", base), ("new", new)):
        yield from (f"{named(row.key)} is measured in {side} alone" for row in rows if id(row) not in paired)


def _common_shift(rows: Sequence[Compared]) -> Iterator[str]:
    verdicts = {row.verdict for row in rows}
    if len(rows) >= _COMMON_SHIFT and verdicts in ({"slower"}, {"faster"}):
        yield (
            f"every row is {verdicts.pop()}: that may be the machine and not the code; measured in turn with the base"
            " (sambench latency --against) the two can be told apart"
        )


def regressed(comparison: Comparison) -> bool:
    """Return whether any row is slower."""
    return bool(comparison.having("slower"))
