"""How long a page of a whole validation set takes: 5,000 images, 6 models, three tasks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.bench.report.runs import write_latency, write_run

MODELS = ("sam_vit_h", "sam_vit_l", "mobile_sam", "efficient_sam_ti", "efficient_sam_s", "grabcut")
SECONDS, MEMORY_MB = 20, 2000
MEASURED = """
    import resource, sys, time
    from pathlib import Path
    from bench.cli.report import report

    started = time.perf_counter()
    report([Path(sys.argv[1])], latency=[Path(sys.argv[2])], out=Path(sys.argv[3]))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    print(time.perf_counter() - started, spent.ru_utime + spent.ru_stime, spent.ru_maxrss / 1000)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder of 35,000 objects."""
    folder = tmp_path_factory.mktemp("whole")
    write_run(folder / "run", MODELS, tasks=("box", "click1", "click3"), images=5000, each=7)
    write_latency(folder / "latency.json", MODELS)
    return folder


def test_a_page_of_5000_images_and_6_models(benchmark, folder):
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), "run", "latency.json", "page.html"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def made() -> list[float]:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        return [float(number) for number in ended.stdout.split()[-3:]]

    wall, cpu, memory = benchmark.pedantic(made, rounds=1)
    size = (folder / "page.html").stat().st_size / 1e6
    benchmark.extra_info.update(wall_s=wall, cpu_s=cpu, memory_mb=memory, page_mb=size)
    print(f"\na page: {wall:.1f} s ({cpu:.1f} s of CPU), {memory:.0f} MB of memory, {size:.2f} MB")
    assert wall < SECONDS
    assert memory < MEMORY_MB
    assert size < 5
