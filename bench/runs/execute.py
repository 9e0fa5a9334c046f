"""Working a plan off: model by model, shard by shard, going on where an earlier attempt stopped."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import adapters
from adapters.adapter import Adapter
from adapters.checkpoints import Weights
from adapters.errors import InputError
from adapters.memory import give_back_freed_memory
from adapters.stages import listening
from bench.datasets import Dataset, Image
from bench.datasets.check import HINT
from bench.memory import peaks, reset_peaks
from bench.runs.detections import Detections
from bench.runs.evaluate import evaluate
from bench.runs.folder import RUN_FILE, RunFolder
from bench.runs.plan import SCHEMA, ModelIdentity, Plan
from bench.runs.score import score
from bench.runs.subset import taken

OnImages = Callable[[str, int], None]
"""Told a model's name and how many more of its images are done now."""


def execute(
    plan: Plan,
    dataset: Dataset,
    weights: Mapping[str, Weights],
    detections: Detections | None,
    folder: RunFolder,
    keep_going: bool = False,
    on_images: OnImages = lambda model, count: None,
) -> None:
    """Do what of the plan isn't done yet, then score it. Nothing is done twice.

    Args:
        plan: what to do.
        dataset, weights, detections: what the plan was made of; weights of its models and its detectors.
        folder: where the run lies.
        keep_going: leave out and count images that can't be read, instead of stopping there.
        on_images: told of progress.

    Raises:
        InputError: where an image can't be read; what is done stays, and the run can go on.
    """
    folder.check_free_for(plan)
    with folder.locked():
        folder.check_free_for(plan)
        if folder.is_complete():
            return
        record = folder.record() or {"schema_version": SCHEMA, "plan": plan.model_dump(mode="json"), "started": _now()}
        folder.write_json(RUN_FILE, {**record, "status": "running", "error": None}, indent=1)
        try:
            for model in plan.models:
                _run_model(plan, model, weights, dataset, detections, folder, keep_going, on_images)
            scored = score(plan, dataset, detections, folder)
        except BaseException as error:
            told = str(error) if isinstance(error, InputError) else type(error).__name__
            folder.write_json(RUN_FILE, {**record, "status": "stopped", "error": told}, indent=1)
            raise
        done = {**record, "status": "complete", "error": None, "finished": _now(), **scored}
        folder.write_json(RUN_FILE, done, indent=1)


def _run_model(
    plan: Plan,
    model: ModelIdentity,
    weights: Mapping[str, Weights],
    dataset: Dataset,
    detections: Detections | None,
    folder: RunFolder,
    keep_going: bool,
    on_images: OnImages,
) -> None:
    """Run one model on the shards that aren't there yet; it is loaded only if there are any, and so are detectors."""
    adapter: Adapter | None = None
    detectors: dict[str, Adapter] = {}
    where = (plan.conditions.device, plan.conditions.dtype)
    stopwatch = _Stopwatch()
    subsets = {protocol.name: taken(protocol, dataset) for protocol in plan.protocols}
    for index, images in enumerate(plan.shards(dataset.images)):
        path = folder.shard(model.name, index)
        if not path.exists():
            if adapter is None:
                adapters.family(model.name)
                reset_peaks(plan.conditions.device)
                started = time.perf_counter()
                adapter = adapters.load(model.name, weights[model.name], *where)
                stopwatch("load", 0, time.perf_counter() - started)
                detectors = {own.name: adapters.load(own.name, weights[own.name], *where) for own in plan.detectors}
            content = _run_shard(
                plan, model, adapter, detectors, images, dataset.categories, detections, subsets, keep_going, stopwatch
            )
            folder.write_json(path.relative_to(folder.path), content)
        on_images(model.name, len(images))
    del adapter, detectors
    gc.collect()
    give_back_freed_memory()


def _run_shard(
    plan: Plan,
    model: ModelIdentity,
    adapter: Adapter,
    detectors: Mapping[str, Adapter],
    images: Sequence[Image],
    categories: Mapping[int, str],
    detections: Detections | None,
    subsets: Mapping[str, Collection[int]],
    keep_going: bool,
    stopwatch: _Stopwatch,
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    skipped: dict[str, dict[str, Counter[str]]] = {}
    files: dict[int, str] = {}
    unread: dict[int, str] = {}
    for image in images:
        try:
            pixels, files[image.id] = image.read()
        except InputError as error:
            if not keep_going:
                raise InputError(f"{error}; {HINT}") from None
            unread[image.id] = str(error)
            continue
        boxes = detections.by_image.get(image.id, []) if detections is not None else []
        protocols = [protocol for protocol in plan.protocols if image.id in subsets[protocol.name]]
        with listening(stopwatch):
            result = evaluate(adapter, image, pixels, model.jobs, protocols, boxes, categories, detectors)
        stopwatch.first = False
        rows += result.rows
        for name, tasks in result.detections.items():
            for task, results in tasks.items():
                found.setdefault(name, {}).setdefault(task, []).extend(results)
        for name, left_out in result.skipped.items():
            for task, reasons in left_out.items():
                skipped.setdefault(name, {}).setdefault(task, Counter()).update(reasons)
    return {
        "rows": rows,
        "detections": found,
        "skipped": skipped,
        "files": list(files.items()),
        "unread": list(unread.items()),
        "device": adapter.device,
        "dtype": adapter.dtype,
        "latency": stopwatch.taken(),
        "memory": peaks(adapter.device),
    }


class _Stopwatch:
    """Keeps raw samples. Those of the first image after loading are named apart: they hold what happens once."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, int, float]] = []
        self.first = True

    def __call__(self, stage: str, prompts: int, seconds: float) -> None:
        name = f"first_{stage}" if self.first and stage != "load" else stage
        self.samples.append((name, prompts, seconds))

    def taken(self) -> list[tuple[str, int, float]]:
        """Return the samples since the last call."""
        samples, self.samples = self.samples, []
        return samples


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
