"""Figures: each function takes a data frame and returns a matplotlib figure, for the page and for notebooks.

Models keep the frame's order, and with it their colour, marker and dashes: give all figures the same order. ``width``
is in inches; below NARROW a figure arranges itself for a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from bench.report.style import INK, LINE, MUTED, PAPER, colour, dashes, marker, styled

WIDE, NARROW = 6.2, 5.0
STAGE_SHADES = (0.35, 1.0, 0.65, 0.2)


def pareto(frame: pd.DataFrame) -> pd.Series:
    """Return which rows no other beats: none is both at most as slow and at least as good, and better in one.

    Args:
        frame: x, the less the better; y, the more the better. Rows without one of them are never in the front.
    """
    x, y = (frame[name].to_numpy(dtype=np.float64) for name in ("x", "y"))
    beaten = (
        (x[None, :] <= x[:, None])
        & (y[None, :] >= y[:, None])
        & ((x[None, :] < x[:, None]) | (y[None, :] > y[:, None]))
    )
    return pd.Series(~beaten.any(axis=1) & np.isfinite(x) & np.isfinite(y), index=frame.index)


def accuracy_latency(
    frame: pd.DataFrame, x_label: str, y_label: str, models: Sequence[str] = (), width: float = WIDE
) -> Figure:
    """Return accuracy against time, with 95 % intervals on both axes and the Pareto front marked.

    Args:
        frame: label, x, x_low, x_high, y, y_low, y_high; one row a model, x more than 0.
        x_label, y_label: with their units.
        models: all models, for their colours; the frame's own, if not given.
        width: in inches.
    """
    with styled():
        figure, axes = _figure(width, 0.62 * width if width >= NARROW else 0.95 * width)
        front = pareto(frame)
        places = _places(models or frame["label"])
        best = frame[front].sort_values("x")
        axes.step(best["x"], best["y"], where="post", color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)), zorder=1)
        for row, leads in zip(frame.to_dict("records"), front, strict=True):
            index = places[str(row["label"])]
            axes.errorbar(
                [row["x"]],
                [row["y"]],
                xerr=_errors(row["x"], row["x_low"], row["x_high"]),
                yerr=_errors(row["y"], row["y_low"], row["y_high"]),
                fmt=marker(index),
                color=colour(index),
                markersize=9 if leads else 7,
                markerfacecolor=colour(index) if leads else PAPER,
                markeredgewidth=1.8,
                elinewidth=1.2,
                zorder=3,
            )
        axes.margins(y=0.14)
        axes.set_xscale("log")
        _plain_ticks(axes, frame["x"])
        axes.set_xlabel(x_label)
        axes.set_title(y_label, color=MUTED)
        _name_points(figure, axes, frame, front)
        return figure


def stage_bars(frame: pd.DataFrame, models: Sequence[str] = (), width: float = WIDE) -> Figure:
    """Return where the time of a first answer goes, a bar a model, the quickest on top.

    Args:
        frame: label, stage, ms; stages in the frame's order.
        models: all models, for their colours.
        width: in inches.
    """
    with styled():
        stages = list(dict.fromkeys(frame["stage"]))
        totals = frame.groupby("label", sort=False)["ms"].sum().sort_values()
        table = frame.pivot_table(index="label", columns="stage", values="ms", aggfunc="sum").reindex(totals.index)
        narrow = width < NARROW
        figure, axes = _figure(width, 0.9 + (0.62 if narrow else 0.46) * len(totals))
        rows = np.arange(len(totals))
        start = np.zeros(len(totals))
        for stage, shade in zip(stages, STAGE_SHADES, strict=False):
            part = table[stage].fillna(0.0).to_numpy()
            axes.barh(
                rows, part, left=start, height=0.3 if narrow else 0.58, color=colour(0), alpha=shade, label=stage,
                edgecolor=PAPER, linewidth=0.8,
            )  # fmt: skip
            start += part
        for row, (label, total) in enumerate(totals.items()):
            axes.annotate(_duration(total), (total, row), (5, 0), textcoords="offset points", va="center", color=INK)
            if narrow:
                axes.annotate(
                    _short(label), (0, row - 0.24), (1, 0), textcoords="offset points", va="bottom", color=INK
                )
        axes.set_yticks(rows, [""] * len(rows) if narrow else [_wrapped(label) for label in totals.index])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(totals) - 0.5, -0.7 if narrow else -0.5)
        axes.set_xlim(0, 1.16 * max(totals.max(), 1e-9))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("ms, median")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if narrow else len(stages), handlelength=1.0,
            columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
        return figure


def iou_shares(instances: pd.DataFrame, column: str = "iou") -> pd.DataFrame:
    """Return what share of objects, in percent, reaches each IoU: label, at_least, share.

    Args:
        instances: label and a column of IoU in percent, one row an object; instances without one are left out.
        column: which IoU.
    """
    levels = np.arange(0, 101)
    parts = []
    for label, own in instances.groupby("label", sort=False, observed=True):
        values = np.sort(own[column].dropna().to_numpy(dtype=np.float64))
        if len(values):
            share = 100.0 * (len(values) - np.searchsorted(values, levels, side="left")) / len(values)
            parts.append(pd.DataFrame({"label": label, "at_least": levels, "share": share}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", "at_least", "share"])


def iou_distribution(frame: pd.DataFrame, models: Sequence[str] = (), width: float = WIDE) -> Figure:
    """Return the share of objects that reaches each IoU; the area under a curve is the mean IoU.

    Args:
        frame: as iou_shares returns it.
        models: all models, for their colours.
        width: in inches.
    """
    with styled():
        figure, axes = _figure(width, 0.5 * width if width >= NARROW else 0.85 * width)
        places = _places(models or frame["label"])
        for label, own in frame.groupby("label", sort=False):
            index = places[str(label)]
            axes.plot(own["at_least"], own["share"], color=colour(index), linestyle=dashes(index), label=_short(label))
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 103)
        axes.set_xlabel("IoU of at least, %")
        axes.set_title("objects, %", color=MUTED)
        axes.legend(loc="lower left", fontsize=9, handlelength=2.6)
        return figure


def likeness(instances: pd.DataFrame, column: str = "iou") -> pd.DataFrame:
    """Return how far apart two models' IoU of the same object are on average, in points: first, second, value, n.

    Args:
        instances: label, annotation_id and a column of IoU in percent; one row a model and object.
        column: which IoU.
    """
    table = instances.pivot_table(
        index=["image_id", "annotation_id"], columns="label", values=column, sort=False, observed=True
    )
    labels = [label for label in dict.fromkeys(instances["label"]) if label in table.columns]
    values = table[labels].to_numpy(dtype=np.float64)
    rows = []
    for first, own in enumerate(labels):
        for second, other in enumerate(labels):
            apart = np.abs(values[:, first] - values[:, second])
            known = np.isfinite(apart)
            rows.append((own, other, float(apart[known].mean()) if known.any() else np.nan, int(known.sum())))
    return pd.DataFrame(rows, columns=["first", "second", "value", "n"])


def agreement(frame: pd.DataFrame, width: float = WIDE) -> Figure:
    """Return a table of models against models, the paler the more alike.

    Args:
        frame: first, second, value: how far apart they are.
        width: in inches.
    """
    with styled():
        labels = list(dict.fromkeys(frame["first"]))
        table = frame.pivot_table(index="first", columns="second", values="value").reindex(labels)[labels].to_numpy()
        size = min(0.62 * width, 1.6 + 0.62 * len(labels)) if width >= NARROW else 0.8 * width
        figure, axes = _figure(width, size)
        greatest = max(float(np.nanmax(table)), 1e-9)
        for row in range(len(labels)):
            for column in range(row):
                value = table[row, column]
                shade = 0.12 + 0.88 * value / greatest
                axes.add_patch(_square(column, row, shade))
                axes.annotate(
                    f"{value:.1f}", (column, row), ha="center", va="center", color=PAPER if shade > 0.6 else INK
                )
        axes.set_xlim(-0.5, max(len(labels) - 1.5, 0.5))
        axes.set_ylim(len(labels) - 0.5, 0.5)
        axes.set_xticks(range(len(labels) - 1), [_wrapped(label) for label in labels[:-1]])
        axes.set_yticks(range(1, len(labels)), [_wrapped(label) for label in labels[1:]])
        if width < NARROW or len(labels) > 4:
            for text in axes.get_xticklabels():
                text.set(rotation=35, ha="right")
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return figure


def recall_proposals(frame: pd.DataFrame, models: Sequence[str] = (), width: float = WIDE) -> Figure:
    """Return everything mode: recall against how many proposals of an image count.

    Args:
        frame: label, limit, value, low, high, proposals: how many the model makes for an image on average.
        models: all models, for their colours.
        width: in inches.
    """
    with styled():
        figure, axes = _figure(width, 0.5 * width if width >= NARROW else 0.85 * width)
        places = _places(models or frame["label"])
        for label, own in frame.groupby("label", sort=False):
            index, own = places[str(label)], own.sort_values("limit")
            made = own["proposals"].iloc[0]
            words = _short(label) if pd.isna(made) else f"{_short(label)}: {made:.0f} an image"
            axes.errorbar(
                own["limit"], own["value"], yerr=np.array([own["value"] - own["low"], own["high"] - own["value"]]),
                color=colour(index), linestyle=dashes(index), marker=marker(index), markersize=7, elinewidth=1.2,
                label=words,
            )  # fmt: skip
        axes.set_xscale("log")
        limits = sorted(frame["limit"].unique())
        axes.set_xticks(limits, [f"{limit:g}" for limit in limits])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(bottom=0)
        axes.set_xlabel("proposals of an image that count")
        axes.set_title("average recall, %", color=MUTED)
        axes.legend(loc="upper left", fontsize=9, handlelength=2.6)
        return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _places(labels: Iterable[str]) -> dict[str, int]:
    return {str(label): index for index, label in enumerate(dict.fromkeys(labels))}


def _errors(value: float, low: float, high: float) -> NDArray[np.float64] | None:
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    return np.array([[max(0.0, value - low)], [max(0.0, high - value)]])


def _name_points(figure: Figure, axes: Axes, frame: pd.DataFrame, front: pd.Series) -> None:
    """Write names beside points, each where it covers the fewest names and points; limits must be set before."""
    figure.draw_without_rendering()
    points = axes.transData.transform(frame[["x", "y"]].to_numpy(dtype=np.float64))
    per_point = figure.dpi / 72
    area = axes.bbox.extents
    taken: list[NDArray[np.float64]] = []
    for (x, y), place, name, leads in zip(points, frame[["x", "y"]].to_numpy(), frame["label"], front, strict=True):
        lines = _wrapped(name, 18)
        width = 5.9 * per_point * max(map(len, lines.split("\n")))
        height = 12 * per_point * (1 + lines.count("\n"))
        choices = []
        for (right, up), (dx, dy) in _SIDES.items():
            left_edge = x + dx * per_point - (0 if right > 0 else width if right < 0 else width / 2)
            low_edge = y + dy * per_point - (0 if up > 0 else height if up < 0 else height / 2)
            box = np.array([left_edge, low_edge, left_edge + width, low_edge + height])
            beyond = max(0.0, area[0] - box[0]) + max(0.0, box[2] - area[2])
            near = [np.array([x2 - 13, y2 - 13, x2 + 13, y2 + 13]) for x2, y2 in points if (x2, y2) != (x, y)]
            covered = sum(_overlap(box, other) for other in [*taken, *near])
            choices.append((covered + height * beyond, right, up, dx, dy, box))
        _, right, up, dx, dy, box = min(choices, key=lambda choice: choice[0])
        taken.append(box)
        axes.annotate(
            lines,
            (place[0], place[1]),
            (dx, dy),
            textcoords="offset points",
            ha={1: "left", -1: "right", 0: "center"}[right],
            va={1: "bottom", -1: "top", 0: "center"}[up],
            color=INK,
            fontweight="bold" if leads else "normal",
        )


_SIDES = {(1, 1): (8, 4), (-1, 1): (-8, 4), (1, -1): (8, -4), (-1, -1): (-8, -4), (0, 1): (0, 16), (0, -1): (0, -16)}
"""Where a name may stand: right, up; and how many points away."""


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(max(0.0, width) * max(0.0, height))


def _plain_ticks(axes: Axes, values: pd.Series) -> None:
    """Mark a logarithmic axis of times at 1, 2, 5 times each power of ten, in plain digits."""
    low, high = float(values.min()) / 1.6, float(values.max()) * 1.6
    steps = np.array([1.0, 2.0, 5.0]) if high / low < 300 else np.array([1.0])
    exponents = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = (10.0 ** exponents[:, None] * steps).ravel()
    axes.set_xlim(low / 1.1, high * 1.1)
    axes.set_xticks(ticks[(ticks >= low) & (ticks <= high)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"


def _square(column: int, row: int, shade: float) -> Rectangle:
    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour(0), alpha=shade, edgecolor=LINE)


def _wrapped(label: object, most: int = 18) -> str:
    return "\n".join(wrap(_short(label, 2 * most), most))


def _short(label: object, most: int = 32) -> str:
    text = " ".join(str(label).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
