"""Measuring one model under one condition, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy

import adapters
from adapters import devices, runtimes
from adapters.adapter import Adapter
from adapters.errors import InputError
from adapters.stages import listening
from bench.conditions import prepare
from bench.latency import stages
from bench.latency.clock import clock_for
from bench.latency.costs import Costs
from bench.latency.inputs import Inputs, read_image
from bench.latency.measure import LEAST_SAMPLES, LEAST_WARMUPS, Amount, Measured, measure, no_collecting
from bench.latency.output_check import answers, compare, objection
from bench.latency.pulse import Beat, beat_on
from bench.latency.record import OutputCheck, Row
from bench.latency.spec import Spec
from bench.latency.stages import Stage, stage
from bench.latency.summary import summary
from bench.latency.tasks import Bench, task, together
from bench.memory import peak_cuda_mb, peak_rss_mb, reset_peaks

COMPILE = "compile"
COMPILED = ("encode", "decode", "everything")
"""Stages whose first call compiles, under that runtime."""


def measured_rows(spec: Spec, alive: Callable[[], None] = lambda: None) -> Iterator[Row]:
    """Yield a row for each stage of a condition, as soon as it is measured.

    Args:
        spec: what to measure.
        alive: called between timed calls; raises where nobody waits for the result any more.

    Raises:
        InputError: where the model can't be loaded, or can't run under this condition.
    """
    prepare(spec.device, spec.dtype)
    asked = [stage(name) for name in spec.stages]
    inputs = Inputs([read_image(path) for path in spec.images], spec.seed)
    loader = _Loader(spec)
    adapter = loader.load()
    rows = _Rows(spec, Costs(adapter))
    if stage(stages.LOAD) in asked:
        del adapter
        adapter, loading = loader.again()
        yield rows.measured(stage(stages.LOAD), loading)
    asked = [own for own in asked if own.name != stages.LOAD]
    if not asked:
        return
    running = _Running(adapter, spec, inputs)
    del adapter
    rows.check = running.check
    why = None if running.check is None else objection(running.check)
    if why is not None:
        yield from (rows.failed(unable, why) for unable in asked)
        return
    amount = Amount(spec.samples, spec.seconds)
    bench = Bench(running.adapter, inputs, pool=amount.samples + LEAST_WARMUPS + 1)
    beat = beat_on(spec.device)
    for group in together(asked):
        yield from _measured_group(bench, group, amount, rows, running, alive, beat)


def _measured_group(
    bench: Bench,
    group: Sequence[Stage],
    amount: Amount,
    rows: _Rows,
    running: _Running,
    alive: Callable[[], None],
    beat: Beat,
) -> Iterator[Row]:
    reset_peaks(bench.adapter.device)
    try:
        timed = task(bench, group)
        found = measure(timed, clock_for(bench.adapter), amount, alive, beat)
    except Exception as error:  # whatever goes wrong in one stage, the others are still measured
        yield from (rows.failed(unable, _told(error)) for unable in group)
        return
    for measured, mark in timed.marks.items():
        row = rows.measured(measured, found[measured])
        yield running.with_first_call(row, mark)


class _Loader:
    """Loads the model, keeping how long that took."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.seconds: list[float] = []

    def load(self) -> Adapter:
        start = time.perf_counter()
        spec = self.spec
        adapter = adapters.load(spec.model, spec.weights, spec.device, spec.dtype, allow_unknown_hash=True)
        devices.wait(spec.device)
        self.seconds.append(time.perf_counter() - start)
        return adapter

    def again(self) -> tuple[Adapter, Measured]:
        """Load some times more. The first time, with its imports and its cold files, was the first call."""
        reset_peaks(self.spec.device)
        adapter: Adapter | None = None
        for _ in range(min(self.spec.samples, LEAST_SAMPLES)):
            adapter = None  # two at once wouldn't fit everywhere
            with no_collecting():
                adapter = self.load()
        assert adapter is not None
        first, *others = self.seconds
        return adapter, Measured(first, samples=others, settled=True)


class _Running:
    """The adapter under its runtime, its output checked where it isn't eager fp32.

    Attributes:
        adapter: to be timed.
        check: of its output, None for eager fp32.
    """

    def __init__(self, adapter: Adapter, spec: Spec, inputs: Inputs) -> None:
        self.runtime = spec.runtime
        self._firsts: dict[str, float] = {}
        self._built: dict[str, float] = {}
        self.check: OutputCheck | None = None
        self.adapter = adapter
        if (spec.runtime, spec.dtype) == (runtimes.EAGER, "fp32"):
            return
        eager = copy(adapter)
        eager.dtype = "fp32"
        expected = answers(eager, inputs)
        del eager
        self.adapter, self._built = runtimes.with_runtime(adapter, spec.runtime)
        with listening(self._first):
            given = answers(self.adapter, inputs, like=expected)
        self.check = compare(given, expected)

    def with_first_call(self, row: Row, mark: str | None) -> Row:
        """Return the row with what happened before it was measured: the first call of all, and the compiling."""
        first = row.first_s if mark is None else self._firsts.pop(mark, row.first_s)
        kind = row.stage.partition("_")[0]
        compiling = self._built.get(kind)
        if self.runtime == COMPILE and kind in COMPILED and first is not None and row.median is not None:
            compiling = max(0.0, first - row.median)
        return row.model_copy(update={"first_s": first, "compile_s": compiling})

    def _first(self, mark: str, prompts: int, seconds: float) -> None:
        self._firsts.setdefault(mark, seconds)


class _Rows:
    """Makes rows of a condition."""

    def __init__(self, spec: Spec, costs: Costs) -> None:
        self._empty = {row.stage: row for row in spec.rows()}
        self.device, self.costs = spec.device, costs
        self.check: OutputCheck | None = None

    def measured(self, done: Stage, found: Measured) -> Row:
        content = {
            "status": "measured",
            "first_s": found.first,
            "warmups": found.warmups,
            "settled": found.settled,
            "samples": found.samples,
            "host_samples": found.host_samples,
            "pulses": found.pulses,
            "peak_rss_mb": peak_rss_mb(),
            "peak_cuda_mb": peak_cuda_mb(self.device),
            "masks_digest": found.digest,
            **summary(found.samples),
        }
        return self._filled(done, content)

    def failed(self, unable: Stage, reason: str) -> Row:
        return self._filled(unable, {"status": "failed", "reason": reason})

    def _filled(self, done: Stage, content: Mapping[str, object]) -> Row:
        costs = {"parameters": self.costs.parameters, "macs": self.costs.macs(done)}
        return self._empty[done.name].model_copy(update={**costs, "output_check": self.check, **content})


def _told(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
