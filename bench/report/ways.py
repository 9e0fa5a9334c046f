"""Ways to segment everything side by side: how much each finds, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.latency.summary import summary
from bench.protocols.tasks import EVERYTHING

PARTS = ("preprocess", "encode")
"""What is done once for an image, whatever the way."""


def ways(results: pd.DataFrame, latency: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model and protocol of a run under which everything was asked for.

    Args:
        results, latency: results.csv and latency.csv.

    Returns:
        model, weights, protocol; boxes: whose boxes were the prompts, if any; a column for each recall, ar10, ar10_low,
        ar10_high and so on, in percent; proposals an image; seconds an image, encoding included, with the 95 % interval
        low, high of what isn't encoding; found: how many of an image's objects are found a second, by the recall with
        most proposals. What the run didn't take is NaN.
    """
    own = results[results["task"] == EVERYTHING]
    rows = [
        {**_who(str(identity)), "model": model, **_numbers(numbers), **_times(latency, str(model), str(identity))}
        for (model, identity), numbers in own.groupby(["model", "protocol"], sort=False)
    ]
    frame = pd.DataFrame(rows)
    if not len(frame):
        return frame
    most = most_recall(frame)
    return frame.assign(found=frame[most] / 100 * frame["objects"] / frame["seconds"])


def most_recall(frame: pd.DataFrame) -> str:
    """Return the column of the recall with most proposals."""
    limits = [int(name.removeprefix("ar")) for name in frame.columns if name.removeprefix("ar").isdigit()]
    return f"ar{max(limits)}"


def _who(identity: str) -> dict[str, str]:
    name, *qualities = identity.split(";")
    boxes = [quality.removeprefix("boxes: ") for quality in qualities if quality.startswith("boxes: ")]
    return {"protocol": name.partition("/")[0], "boxes": "".join(boxes)}


def _numbers(numbers: pd.DataFrame) -> dict[str, Any]:
    """Return recalls of all objects, proposals of an image and objects of an image."""
    found: dict[str, Any] = {"weights": numbers["weights"].iloc[0]}
    recalls = numbers[numbers["metric"].str.fullmatch(r"ar\d+")]
    for row in recalls.to_dict("records"):
        name = str(row["metric"])
        found |= {name: row["value"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
    made = numbers[numbers["metric"] == "proposals"].iloc[0]
    return {**found, "proposals": made["value"], "objects": recalls["n"].max() / made["n"]}


def _times(latency: pd.DataFrame, model: str, identity: str) -> dict[str, float]:
    own = latency[latency["model"] == model]
    protocol = identity.partition("/")[0]
    named = own["protocol"] if "protocol" in own else pd.Series("", index=own.index)
    whole = _samples(own[named == protocol], EVERYTHING)
    nothing = {name: float("nan") for name in ("seconds", "low", "high")}
    if not len(whole):
        return nothing
    told = summary(whole.tolist())
    once = sum(float(part.median()) for part in _once(own))
    return {name: once + float(told[key]) for name, key in (("seconds", "median"), ("low", "low"), ("high", "high"))}


def _once(samples: pd.DataFrame) -> Iterator[pd.Series]:
    for name in PARTS:
        if len(part := _samples(samples, name)):
            yield part


def _samples(samples: pd.DataFrame, stage: str) -> pd.Series:
    """Return the seconds of a stage; of the first image after loading only where there is no other."""
    for name in (stage, f"first_{stage}"):
        seconds = samples.loc[samples["stage"] == name, "seconds"]
        if len(seconds):
            break
    return seconds
