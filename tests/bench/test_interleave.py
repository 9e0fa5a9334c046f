"""Two environments measured in turn, by real processes that a small script stands in for."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter

import pytest

from adapters.checkpoints import Weights
from adapters.errors import InputError
from bench.latency.compare import compare
from bench.latency.compare_blocks import blocks_of
from bench.latency.interleave import interleaved
from bench.latency.merge import merged
from bench.latency.record import Record, Row, read
from bench.latency.spec import Spec

STAGES = ("encode", "decode_box1")

CHILD = """
import json, math, os, random, sys
from pathlib import Path

folder, factor, trouble = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
arguments = sys.argv[4:]
if arguments[0] == "-c":
    packages = json.load(sys.stdin)
    print(json.dumps({name: "1.0" for name in packages if trouble != "bare"}))
    sys.exit()
assert arguments == ["-m", "bench.latency.child"], arguments
assert os.environ["PYTHONSAFEPATH"] == "1"
spec = json.load(sys.stdin)
log = folder / "log"
turn = len(log.read_text().split()) if log.exists() else 0
with log.open("a") as file:
    file.write(f"{sys.argv[2]}\\n")
if trouble == "refusing":
    print(json.dumps({"failed": "no such runtime"}))
    sys.exit()
draw = random.Random(turn)
slow = 1 + 0.5 * (turn // 4) + 0.02 * (turn % 4)  # the machine: other load in each round, a drift within it
for stage in spec["stages"]:
    row = {name: spec[name] for name in ("model", "device", "dtype", "runtime")}
    row |= {"weights": "random", "stage": stage, "n_prompts": int(stage != "encode"), "batch": 1}
    if trouble == "failing" and stage == "encode" and turn > 2:
        row |= {"status": "failed", "reason": "no memory"}
    else:
        seconds = [0.01 * slow * factor * math.exp(draw.gauss(0, 0.01)) for _ in range(spec["samples"])]
        row |= {"status": "measured", "samples": seconds, "settled": True, "warmups": turn, "first_s": 1.0 + turn,
                "peak_rss_mb": 100.0 + turn, "masks_digest": "same"}
    print(json.dumps({"row": row}), flush=True)
    if trouble == "killed" and turn > 2:
        os.kill(os.getpid(), 9)
print(json.dumps({"done": True}))
"""


@pytest.fixture
def python(tmp_path):
    """Return a function that makes an interpreter which only knows the child, slower by a factor."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)

    def made(name: str, factor: float = 1.0, trouble: str = "none") -> str:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {script} {tmp_path} {factor} {trouble} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return made


@pytest.fixture
def spec():
    weights = Weights(path=None, identity="random", official=False)
    return Spec(model="mobile_sam", weights=weights, device="cpu", dtype="fp32", runtime="eager", stages=STAGES,
                images=(), samples=60, seconds=60)  # fmt: skip


@pytest.fixture
def fresh(spec):
    return Record(
        started="2026-01-01T00:00:00+00:00",
        machine={"cpu": "one"},
        environment={"threads": 1, "versions": {"torch": "2.15.0"}},
        settings={"samples": 60},
        rows=spec.rows(),
    )


def turns(folder):
    return (folder / "log").read_text().split()


def test_processes_alternate_and_each_takes_all_samples(python, spec, fresh, tmp_path):
    told = Counter()
    base, new = interleaved(
        fresh, [spec], python("old", 1.0), python("new", 1.1), 2, lambda side, row: told.update([side])
    )
    assert turns(tmp_path) == ["1.0", "1.1", "1.1", "1.0"] * 2
    assert told == {"base": 8, "new": 8}
    for record in (base, new):
        assert record.status == "complete"
        assert [row.stage for row in record.rows] == list(STAGES)
        assert {len(row.samples) for row in record.rows} == {4 * 60}
        assert record.environment["versions"] == {"sambench": "1.0", "torch": "1.0"}
    assert blocks_of(base.rows[0], base) == [0] * 120 + [1] * 120
    assert "PYTHONSAFEPATH" not in os.environ


def test_rounds_of_other_load_dont_hide_five_percent(python, spec, fresh, tmp_path):
    """Between rounds the machine's speed changes by half and more, and within a round it drifts by 6 %."""
    base, new = interleaved(fresh, [spec], python("old"), python("new", 1.05), 3)
    found = compare(base, new)
    assert [row.verdict for row in found.rows] == ["slower", "slower"]
    assert found.rows[0].effect.ratio == pytest.approx(1.05, rel=0.01)
    (tmp_path / "log").unlink()
    assert {row.verdict for row in compare(*interleaved(fresh, [spec], python("a"), python("b"), 3)).rows} == {"same"}


def test_the_records_are_files_like_others(python, spec, fresh, tmp_path):
    for record in interleaved(fresh, [spec], python("old"), python("new"), 1):
        record.write(tmp_path / "record.json")
        assert read(tmp_path / "record.json") == record


def test_another_torch_is_part_of_what_is_compared(python, spec, fresh):
    base, new = interleaved(fresh, [spec], python("old"), python("new"), 1)
    base.environment["versions"]["torch"] = "0.9"
    assert "environment.versions.torch 0.9 there, 1.0 here" in compare(base, new).remarks
    new.settings["in_turn"]["with"] = "another time"
    with pytest.raises(InputError, match=r"torch 0\.9 there, 1\.0 here"):
        compare(base, new)


def test_a_row_that_fails_once_fails(python, spec, fresh):
    base, new = interleaved(fresh, [spec], python("old", 1.0, "failing"), python("new"), 1)
    assert [(row.status, row.reason) for row in base.rows] == [("failed", "no memory"), ("measured", None)]
    assert [row.new.stage for row in compare(base, new).rows] == ["decode_box1"]


def test_what_a_killed_process_lacks_is_missing(python, spec, fresh):
    base, _ = interleaved(fresh, [spec], python("old", 1.0, "killed"), python("new"), 1)
    assert [row.status for row in base.rows] == ["measured", "missing"]
    assert base.status == "stopped"
    assert "SIGKILL" in base.error


def test_interpreters_that_wont_do_get_one_line(python, spec, fresh, tmp_path):
    for other, said in (
        (str(tmp_path / "nothing"), "can't be started"),
        ("/bin/false", "no Python interpreter"),
        (python("bare", 1.0, "bare"), "has no sambench installed"),
    ):
        with pytest.raises(InputError, match=said):
            interleaved(fresh, [spec], other, python("new"), 1)
    with pytest.raises(InputError, match="at least one round"):
        interleaved(fresh, [spec], python("old"), python("new"), 0)
    base, _ = interleaved(fresh, [spec], python("old", 1.0, "refusing"), python("new"), 1)
    assert {(row.status, row.reason) for row in base.rows} == {("failed", "no such runtime")}


def test_rows_are_merged_in_order():
    known = {"model": "m", "weights": "none", "device": "cuda", "dtype": "fp32", "runtime": "eager", "stage": "encode"}
    one = Row(**known, n_prompts=0, batch=1, status="measured", samples=[1, 2], host_samples=[3, 4], settled=True)
    two = one.model_copy(update={"samples": [5.0], "host_samples": [6.0], "peak_cuda_mb": 7.0, "settled": False})
    both = merged([one, two])
    assert (both.samples, both.host_samples, both.median) == ([1, 2, 5], [3, 4, 6], 2)
    assert (both.peak_cuda_mb, both.settled) == (7.0, False)
    assert merged([one, two.model_copy(update={"host_samples": None})]).host_samples is None
