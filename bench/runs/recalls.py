"""What a run keeps of each object that was to be found without a prompt: rows of instances.parquet, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.metrics.average_recall import Recall
from bench.runs.plan import Job

RECALLS = "recalls"


def object_rows(job: Job, truth: dict[str, Any], recall: Recall) -> list[dict[str, Any]]:
    """Return a row of instances.parquet for each object that counts.

    Args:
        job: the task everything of a protocol.
        truth: what recall was computed from (bench.metrics.reference.ground_truth).
        recall: the proposals held against it.
    """
    shares = recall.of_objects()
    return [
        {
            "protocol": job.protocol,
            "task": job.task,
            "image_id": own["image_id"],
            "annotation_id": own["annotation_id"],
            "category_id": own["category_id"],
            "area": float(own["area"]),
            "iscrowd": bool(own.get("iscrowd", 0)),
            "replaced": ";".join(job.replaced) or None,
            RECALLS: shares[own["id"]],
        }
        for own in truth["annotations"]
        if own["id"] in shares
    ]


def with_recalls(rows: pd.DataFrame, limits: Sequence[int]) -> pd.DataFrame:
    """Return rows of objects with a column for each of the protocol's limits, ar10 and so on, in percent.

    Rows of runs from before objects had recalls are left out.
    """
    kept = rows.dropna(subset=[RECALLS])
    shares = np.array(kept[RECALLS].tolist(), dtype=np.float64).reshape(len(kept), len(limits))
    return kept.assign(**{f"ar{limit}": shares[:, index] for index, limit in enumerate(sorted(limits))})
