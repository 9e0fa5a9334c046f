"""Data as they are named on the command line: the drawn scenes, or a folder."""

from __future__ import annotations

from pathlib import Path

from bench.datasets.dataset import Dataset
from bench.datasets.folders import open_dataset
from bench.datasets.sample import sample_folder

SAMPLE = "sample"


def dataset_named(data: str | Path) -> Dataset:
    """Return the drawn scenes for "sample", else a folder's data; raises as open_dataset does."""
    return open_dataset(sample_folder() if str(data) == SAMPLE else data)
