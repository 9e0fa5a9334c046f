"""What a run's folder says, read for a comparison with published numbers."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ValidationError

from adapters.errors import InputError

RANDOM, POSTPROCESS, EVERYTHING = "random", "postprocess", "everything"
_EMPTY_NUMBERS = {name: [""] for name in ("value", "low", "high", "n")}


class _Model(BaseModel):
    name: str
    short_weights: str
    official: bool


class _Dataset(BaseModel):
    name: str
    kind: str
    images: int
    total_images: int
    comparable: bool


class _Protocol(BaseModel):
    name: str


class _Detections(BaseModel):
    name: str
    digest: str


class _Omission(BaseModel):
    model: str
    protocol: str
    task: str
    reason: str


class _Conditions(BaseModel):
    dtype: str
    summary: str


class _Plan(BaseModel):
    models: tuple[_Model, ...]
    dataset: _Dataset
    protocols: tuple[_Protocol, ...]
    detections: _Detections | None
    omitted: tuple[_Omission, ...]
    conditions: _Conditions


class Measured(NamedTuple):
    """A number of ours: value, 95 % interval (NaN where there is none), how many it is the mean of.

    weights and protocol are those that it was measured with; replaced says what in the protocol gave way because the
    model can't do it, None if nothing did.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    n: float = float("nan")
    weights: str = ""
    protocol: str = ""
    replaced: str | None = None


class RunResults:
    """A finished run: plan, results.csv and, where there is one, latency.csv.

    Raises:
        InputError: where the folder holds no finished run that this version can read.
    """

    def __init__(self, folder: Path) -> None:
        from bench.runs.folder import RUN_FILE, RunFolder

        self.folder = folder
        record = RunFolder(folder).record()
        if record is None:
            raise InputError(f"no run in {folder}: there is no {RUN_FILE}")
        if record.get("status") != "complete":
            raise InputError(f"the run in {folder} is {record.get('status')}: the command that began it ends it")
        self.unread = len(record.get("unread", {}))
        try:
            self.plan = _Plan.model_validate(record.get("plan"))
            self.table = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=_EMPTY_NUMBERS)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(f"{folder / RUN_FILE}: plan.{where}: {error.errors()[0]['msg']}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{folder / 'results.csv'} can't be read ({error})") from None

    @property
    def images(self) -> int:
        """How many images were measured: those taken but for the ones that couldn't be read."""
        return self.plan.dataset.images - self.unread

    @cached_property
    def latency(self) -> pd.DataFrame:
        """The raw samples of every stage."""
        file = self.folder / "latency.csv"
        columns = ["model", "stage", "n_prompts", "seconds", "protocol"]
        samples = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=columns)
        named = samples["protocol"].fillna("") if "protocol" in samples else ""
        return samples.assign(protocol=named)

    @property
    def protocols(self) -> list[str]:
        """The names of the run's protocols."""
        return [protocol.name for protocol in self.plan.protocols]

    def identities(self) -> dict[str, str]:
        """Return name/version/digest of the protocols that results are there for, by name."""
        found = [str(identity).partition(";")[0] for identity in self.table["protocol"].unique()]
        return {identity.partition("/")[0]: identity for identity in found}

    def number(self, model: str, protocol: str, task: str, metric: str) -> Measured | None:
        """Return a number of results.csv, None where there is none."""
        rows = self.table
        named = rows["protocol"].str.partition("/")[0].str.partition(";")[0] == protocol
        rows = rows[named & (rows["model"] == model) & (rows["task"] == task) & (rows["metric"] == metric)]
        if not len(rows) or pd.isna(rows.iloc[0]["value"]):
            return None
        row = rows.iloc[0]
        identity, _, replaced = str(row["protocol"]).partition(";")
        value, low, high, n = (float(row[name]) for name in ("value", "low", "high", "n"))
        return Measured(value, low, high, n, str(row["weights"]), identity, replaced.strip() or None)

    def seconds(self, model: str, stage: str, protocol: str) -> float | None:
        """Return the median time of a stage on one image, of one prompt or one mask where it works on those.

        None if it wasn't taken: prompts are decoded faster together, so only those decoded alone count. A stage that
        protocols don't share is taken of the one named.
        """
        samples = self.latency
        theirs = samples["protocol"] == protocol
        if stage != EVERYTHING or len(self.protocols) == 1:
            theirs |= samples["protocol"] == ""
        own = samples[theirs & (samples["model"] == model) & (samples["stage"] == stage)]
        if stage == POSTPROCESS:
            own = own.assign(seconds=own["seconds"] / own["n_prompts"].clip(lower=1), n_prompts=1)
        own = own[own["n_prompts"] <= 1]
        return float(own["seconds"].median()) if len(own) else None

    def omission(self, model: str, protocol: str, task: str) -> str | None:
        """Return why the run left out a task, None if it didn't."""
        for omitted in self.plan.omitted:
            if (omitted.model, omitted.protocol, omitted.task) == (model, protocol, task):
                return omitted.reason
        return None
