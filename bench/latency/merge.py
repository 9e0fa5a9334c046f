"""One row of what several processes measured of the same."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from bench.latency.record import Row
from bench.latency.spec import Spec
from bench.latency.summary import summary


def shared_out(spec: Spec, processes: int) -> Spec:
    """Return what each of several processes is to measure: its part of the samples, and of the time."""
    return spec.model_copy(update={"samples": ceil(spec.samples / processes), "seconds": spec.seconds / processes})


def merged(rows: Sequence[Row]) -> Row:
    """Return one row for those that several processes measured of the same, in order.

    The first call and what it compiled are those of the first process. If any of the rows wasn't measured, nor is this.
    """
    broken = next((row for row in rows if row.status != "measured"), None)
    if broken is not None:
        return broken
    samples = [seconds for row in rows for seconds in row.samples]
    digests = {row.masks_digest for row in rows}
    return rows[0].model_copy(
        update={
            "samples": samples,
            "host_samples": _joined([row.host_samples for row in rows]),
            "pulses": [seconds for row in rows for seconds in row.pulses],
            "processes": [len(row.samples) for row in rows],
            "beats": [len(row.pulses) for row in rows],
            **summary(samples),
            "warmups": max(row.warmups for row in rows),
            "settled": all(row.settled for row in rows),
            "peak_rss_mb": _greatest([row.peak_rss_mb for row in rows]),
            "peak_cuda_mb": _greatest([row.peak_cuda_mb for row in rows]),
            "masks_digest": digests.pop() if len(digests) == 1 else None,
        }
    )


def _joined(series: Sequence[list[float] | None]) -> list[float] | None:
    known = [own for own in series if own is not None]
    return [seconds for own in known for seconds in own] if len(known) == len(series) else None


def _greatest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
