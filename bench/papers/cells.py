"""The cells of a published table: each number with all that is needed to measure it again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.papers.catalogue import Data, Detector, datasets, detectors, models
from bench.papers.numbers import Published, numbers
from bench.papers.table import EVERY, Rule, Table


@dataclass(frozen=True)
class Cell:
    """One published number, and what it is here.

    Attributes:
        published: the number.
        table, rule: where it stands, and which of the table's rules holds for it.
        model: our name of its model, None where the suite has none for it.
    """

    published: Published
    table: Table
    rule: Rule
    model: str | None

    @property
    def task(self) -> str:
        """The task that measures it."""
        return self.rule.task

    @property
    def ours(self) -> str:
        """Our metric, our figure of cost, or the stages to be timed, with + between them."""
        return self.rule.metrics.get(self.published.metric, self.rule.metrics.get(EVERY, ""))

    @property
    def preset(self) -> str:
        """The protocol that it takes."""
        return self.rule.preset or self.table.preset

    @property
    def tolerance(self) -> float:
        """How far, in points, our value may lie from it on the whole dataset."""
        return self.rule.tolerance or self.table.tolerance

    @cached_property
    def data(self) -> Data:
        """The data that it was measured on."""
        return datasets()[self.published.dataset]

    @cached_property
    def detector(self) -> Detector | None:
        """The detector whose boxes were the prompts."""
        return detectors()[self.rule.detector] if self.rule.detector else None


def cells(table: Table) -> list[Cell]:
    """Return the cells of a table, in the paper's order."""
    known = {**models(), **table.models}
    return [
        Cell(number, table, table.rule(number), known.get(number.model)) for number in numbers() if table.holds(number)
    ]
