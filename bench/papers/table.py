"""A published table as a rule: which preset, and what each of its metrics is here."""

from __future__ import annotations

from functools import cache
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from adapters.errors import unknown
from bench.papers.files import TABLES, papers_folder, read_toml
from bench.papers.numbers import Published

SUFFIX = ".toml"
EVERY = "*"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Data):
    """What some of a table's cells are here.

    Attributes:
        metrics: the paper's names of metrics -> ours; "*" for all. accuracy: of results.csv. cost: a figure
            of bench.papers.cost. latency: stages of latency.csv, with + between them.
        protocol, dataset: words that the paper's must contain; models: the paper's names. Empty: all.
        measure: none: the suite has no such measure, and ``why`` says so.
        task: of results.csv; for a latency the task that is timed.
        preset: instead of the table's.
        detector: whose boxes are prompts.
        dtype: the precision that the paper's number needs.
        tolerance: in points, instead of the table's.
        no_verdict: why the number can be shown, but neither agrees nor differs.
    """

    metrics: dict[str, str] = Field(min_length=1)
    protocol: str = ""
    dataset: str = ""
    models: tuple[str, ...] = ()
    measure: Literal["accuracy", "cost", "latency", "none"] = "accuracy"
    why: str = ""
    task: str = ""
    preset: str = ""
    detector: str = ""
    dtype: Literal["", "fp32", "bf16", "fp16"] = ""
    tolerance: float | None = Field(default=None, gt=0)
    no_verdict: str = ""

    @field_validator("metrics", mode="before")
    @classmethod
    def _named(cls, metrics: object) -> object:
        return dict.fromkeys(metrics, "") if isinstance(metrics, list) else metrics

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.measure == "none") != bool(self.why):
            raise ValueError("why is for cells without a measure, and for all of them")
        if (self.measure in ("accuracy", "latency")) != bool(self.task):
            raise ValueError("accuracies and latencies need a task, and nothing else does")
        return self

    def covers(self, number: Published) -> bool:
        """Return whether it says what a published number is here."""
        return (
            (number.metric in self.metrics or EVERY in self.metrics)
            and self.protocol in number.protocol
            and self.dataset in number.dataset
            and (not self.models or number.model in self.models)
        )


class Table(_Data):
    """A published table.

    Attributes:
        name: how it is asked for.
        title: what it shows.
        paper, tables: which published numbers are its cells.
        preset: the protocol that measures them.
        tolerance: how far, in points, a value measured on the whole dataset may lie from the paper's.
        note: what one should know.
        models: the paper's names of models -> ours, where they mean something else in this table.
        cells: of these rules the first that covers a cell holds.
    """

    name: str
    title: str
    paper: str
    tables: tuple[str, ...]
    preset: str
    tolerance: float = Field(default=0.5, gt=0)
    note: str = ""
    models: dict[str, str] = {}
    cells: tuple[Rule, ...]

    def holds(self, number: Published) -> bool:
        """Return whether a published number is one of its cells."""
        return number.paper == self.paper and number.table in self.tables

    def rule(self, number: Published) -> Rule:
        """Return what one of its cells is here."""
        for rule in self.cells:
            if rule.covers(number):
                return rule
        raise LookupError(f"{self.name}.toml has no rule for {number.id}")


@cache
def tables() -> dict[str, Table]:
    """Return all tables by name."""
    files = sorted(file.name for file in (papers_folder() / TABLES).iterdir() if file.name.endswith(SUFFIX))
    names = [file.removesuffix(SUFFIX) for file in files]
    return {name: Table(name=name, **read_toml(TABLES, f"{name}{SUFFIX}")) for name in names}


def table(name: str) -> Table:
    """Return a table.

    Raises:
        InputError: for an unknown name; it says the nearest known one.
    """
    if name not in tables():
        raise unknown("table", name, tables())
    return tables()[name]
