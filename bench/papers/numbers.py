"""The published numbers, one by one."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.papers.files import NUMBERS, papers_folder

Unit = Literal["%", "M", "G", "ms", "img/s", "MB", "x", "x100", "points"]


class Published(BaseModel):
    """A number as a paper or a README gives it.

    Attributes:
        id: short and stable: table/model/data/task/metric.
        paper, arxiv, table: where it stands; no arXiv number where there is none.
        model, dataset, protocol, metric, hardware: in the source's own words, as far as it says.
        value: in ``unit``; None where the source gives a word instead. Percent, millions (M), billions of operations
            (G), milliseconds, images a second, megabytes, times (x), hundredths (x100), IoU points.
        published, published_unit: as printed.
        source: where it was read.
        verified: whether it was read there, rather than quoted by somebody.
        note: what contradicts it, or what it was taken from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9._+-]+(/[a-z0-9._+-]+)+$")
    paper: str = Field(min_length=1)
    arxiv: str = Field(pattern=r"^(\d{4}\.\d{5})?$")
    table: str = Field(min_length=1)
    model: str = Field(min_length=1)
    dataset: str
    protocol: str
    metric: str = Field(min_length=1)
    value: float | None
    unit: Unit
    published: str = Field(min_length=1)
    published_unit: str
    hardware: str
    source: str = Field(min_length=1)
    verified: bool
    note: str

    @field_validator("value", mode="before")
    @classmethod
    def _or_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def rounding(self) -> float:
        """Half of the last printed digit, in ``unit``."""
        decimals = len(self.published.partition(".")[2])
        return 0.5 * 10.0**-decimals * (100 if self.unit == "%" and self.published_unit != "%" else 1)


@cache
def numbers() -> tuple[Published, ...]:
    """Return all published numbers, in the file's order."""
    with (papers_folder() / NUMBERS).open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)
    return tuple(Published.model_validate(row) for row in rows.to_dict("records"))
