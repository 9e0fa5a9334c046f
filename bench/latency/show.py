"""A measurement as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from adapters.checkpoints import NONE
from bench.latency.record import Record, Row

COLUMNS = ("model", "stage", "median", "95 %", "p90", "p99", "first call", "compiled", "images/s", "n", "RSS", "CUDA",
           "params", "MACs", "mIoU")  # fmt: skip
RANDOM = "random"
UNITS = (("s", 1.0), ("ms", 1e3), ("µs", 1e6))


def print_record(record: Record, rows: Sequence[Row], console: Console) -> None:
    """Print rows of a measurement, a table for each condition, and what one should know about them."""
    conditions = dict.fromkeys((row.device, row.dtype, row.runtime) for row in rows)
    for device, dtype, runtime in conditions:
        own = [row for row in rows if (row.device, row.dtype, row.runtime) == (device, dtype, runtime)]
        measured = [row for row in own if row.status == "measured"]
        if measured:
            console.print(_table(measured, f"{device}, {dtype}, {runtime}"))
    for line in notes(record, rows):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def notes(record: Record, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what one should know before using the numbers."""
    machine, environment = record.machine, record.environment
    place = machine["gpu"] if any(row.device != "cpu" for row in rows) else machine["cpu"]
    yield (
        f"on {place}, {environment['threads']} threads, {machine['cores']} cores, torch"
        f" {environment['versions'].get('torch')}; load average {environment.get('load_average_before')} before"
    )
    if any(row.weights == RANDOM for row in rows):
        yield (
            "weights are random: times of the networks hold, those of everything depend on how many masks pass its"
            " filters, and of random ones few do"
        )
    if any(row.status == "measured" and not row.settled for row in rows):
        yield "* hadn't become steady when its warm-up ended"
    if any(row.output_check for row in rows):
        yield "mIoU is that of the masks with eager fp32's"
    for row in rows:
        if row.status != "measured":
            told = "failed" if row.status == "failed" else "not measured yet"
            why = f": {row.reason}" if row.reason else ""
            yield f"{told}: {row.model} {row.device} {row.dtype} {row.runtime} {row.stage}{why}"


def _table(rows: Sequence[Row], title: str) -> Table:
    cells = [_cells(row) for row in rows]
    table = Table(title=title, title_justify="left")
    kept = [column for column in COLUMNS if any(own[column] for own in cells)]
    for column in kept:
        table.add_column(column, justify="left" if column in ("model", "stage") else "right", no_wrap=column != "model")
    model = None
    for own, row in zip(cells, rows, strict=True):
        if model not in (None, row.model):
            table.add_section()
        model = row.model
        table.add_row(*(own[column] for column in kept))
    return table


def _cells(row: Row) -> dict[str, str]:
    pace = f"{row.batch / row.median:.3g}" if row.median and row.stage.startswith(("encode", "end_to_end")) else ""
    check = row.output_check
    return {
        "model": f"{row.model} ({row.weights})" if row.weights != NONE else row.model,
        "stage": row.stage + ("" if row.settled else " *"),
        "median": duration(row.median),
        "95 %": _interval(row.low, row.high),
        "p90": duration(row.p90),
        "p99": duration(row.p99),
        "first call": duration(row.first_s),
        "compiled": duration(row.compile_s),
        "images/s": pace,
        "n": str(len(row.samples)),
        "RSS": _count(row.peak_rss_mb, 1, "MB"),
        "CUDA": _count(row.peak_cuda_mb, 1, "MB"),
        "params": _count(row.parameters, 1e6, "M"),
        "MACs": _count(row.macs, 1e9, "G"),
        "mIoU": f"{check.miou_vs_eager:.4f}" if check else "",
    }


def duration(seconds: float | None) -> str:
    """Return a time in words, to three digits."""
    if seconds is None:
        return ""
    unit, factor = _unit(seconds)
    return f"{_digits(seconds * factor)} {unit}"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    unit, factor = _unit(high)
    return f"{_digits(low * factor)} to {_digits(high * factor)} {unit}"


def _unit(seconds: float) -> tuple[str, float]:
    return next((unit for unit in UNITS if seconds * unit[1] >= 1), UNITS[-1])


def _digits(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"


def _count(value: float | None, unit: float, name: str) -> str:
    return f"{_digits(value / unit)} {name}" if value else ""
