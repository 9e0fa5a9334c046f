"""What every metric gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A metric's value with its 95 % interval; NaN where there is nothing to average.

    Attributes:
        metric: its name.
        value, low, high: in ``unit``.
        n: of how many instances, detections or images.
        unit: "%", or what else it counts.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    unit: str = "%"
