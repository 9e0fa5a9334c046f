"""The numbers that the documentation quotes are those of the runs kept under results/."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "results" / "amd-epyc-2-cores" / "cpu-fp32"
PAGE = ROOT / "docs" / "why-numbers-differ.md"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """Return all results of the kept runs, with the protocol's name alone."""
    frame = pd.concat([pd.read_csv(file) for file in sorted(RUNS.glob("*/results.csv"))])
    return frame.assign(preset=frame["protocol"].str.partition("/")[0])


def test_each_preset_s_row_is_what_was_measured(results):
    """The first table: box, 1 click, 3 clicks of every preset."""
    checked = 0
    for line in PAGE.read_text().splitlines():
        found = re.match(r"\| `([\w-]+)` \| [^|]+ \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", line)
        if found is None:
            continue
        for task, told in zip(("box", "click1", "click3"), found.groups()[1:], strict=True):
            own = results[(results["preset"] == found[1]) & (results["task"] == task) & (results["metric"] == "miou")]
            measured = own.iloc[0] if len(own) else None
            expected = "–" if measured is None else shown(measured)
            assert told == expected, (found[1], task)
            checked += measured is not None
    assert checked == 13


def test_every_number_with_an_interval_was_measured(results):
    shapes = {shown(row) for _, row in results.iterrows()}
    quoted = re.findall(r"\d+\.\d\d \[\d+\.\d, \d+\.\d\]", PAGE.read_text())
    assert len(quoted) > 30
    assert set(quoted) <= shapes


def shown(row: pd.Series) -> str:
    return f"{row['value']:.2f} [{row['low']:.1f}, {row['high']:.1f}]"
