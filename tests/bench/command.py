"""Running the command line in tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TASKS = "box,click,detector_box"


def sambench(*arguments: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def run_arguments(folder: Path, out: Path) -> list[object]:
    detections = folder / "detections.json"
    return ["run", "--models", "grabcut", "--data", folder, "--tasks", TASKS, "--detections", detections,
            "--device", "cpu", "--out", out]  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Hold a refused command to one clear line and exit 2."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("sambench: ")
    for word in said:
        assert word in lines[0]
    assert done.stdout == ""
