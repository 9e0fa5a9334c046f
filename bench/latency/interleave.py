"""Two environments measured in turn, so that what makes the machine slower for a while makes both slower.

Each round starts four processes, base, new, new, base: a drift that is even over a round then adds the same to both
(Box, Hunter and Hunter, Statistics for Experimenters, chapter 4). Many short processes also show how much durations
differ from process to process, which a single one can't (Kalibera and Jones, Rigorous benchmarking in reasonable time,
ISMM 2013, section 4).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from adapters.errors import InputError
from bench.latency.compare_blocks import IN_TURN
from bench.latency.execute import child_rows
from bench.latency.merge import merged
from bench.latency.record import Key, Record, Row, now
from bench.latency.record_file import named
from bench.latency.spec import Spec

BASE, NEW = "base", "new"
ORDER = (BASE, NEW, NEW, BASE)
ROUNDS = 4

_SAFE_PATH = "PYTHONSAFEPATH"
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for package in json.load(sys.stdin):
    try:
        found[package] = version(package)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""

Found = dict[Key, list[Row]]


def interleaved(
    fresh: Record,
    specs: Sequence[Spec],
    base_python: str,
    new_python: str,
    rounds: int = ROUNDS,
    on_row: Callable[[str, Row], None] = lambda side, row: None,
) -> tuple[Record, Record]:
    """Measure specs with two interpreters in turn, and return what each of them measured, ready to be compared.

    Args:
        fresh: what bench.latency.plan makes for the specs: machine, environment, settings, rows to be measured.
        specs: what to measure; each process takes all ``samples``, its share of ``seconds`` allowing: what it costs
            to start one would buy hundreds of a decoder's.
        base_python, new_python: interpreters of environments that have sambench installed.
        rounds: of four processes, for each spec.
        on_row: told "base" or "new" and each row that a process has finished.

    Returns:
        The records of base and new.

    Raises:
        InputError: where an interpreter can't be started, has no sambench, or rounds is below 1.
    """
    if rounds < 1:
        raise InputError(f"at least one round needed, not {rounds}")
    pythons = {BASE: base_python, NEW: new_python}
    with _own_packages():
        versions = {side: _versions(python, fresh) for side, python in pythons.items()}
        found: dict[str, Found] = {BASE: {}, NEW: {}}
        for spec in specs:
            share = spec.model_copy(update={"seconds": spec.seconds / (2 * rounds)})
            for side in ORDER * rounds:
                for row in child_rows(share, pythons[side]):
                    found[side].setdefault(row.key, []).append(row)
                    on_row(side, row)
    return _record(fresh, found[BASE], versions[BASE]), _record(fresh, found[NEW], versions[NEW])


def _record(fresh: Record, found: Found, versions: Mapping[str, str]) -> Record:
    rows = [merged(found[row.key]) if row.key in found else row for row in fresh.rows]
    counts = {named(row.key): [len(own.samples) for own in found.get(row.key, [])] for row in rows}
    unmeasured = [row for row in rows if row.status == "missing"]
    return fresh.model_copy(
        update={
            "status": "stopped" if unmeasured else "complete",
            "error": next((row.reason for row in unmeasured if row.reason), None),
            "finished": now(),
            "environment": {**fresh.environment, "versions": dict(versions)},
            "settings": {**fresh.settings, IN_TURN: {"with": fresh.started, "counts": counts}},
            "rows": rows,
        }
    )


@contextmanager
def _own_packages() -> Iterator[None]:
    """Let interpreters import what is installed in their own environment, never the folder that this is run in."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _versions(python: str, fresh: Record) -> dict[str, str]:
    """Return the versions of an environment's packages."""
    packages = list(dict.fromkeys(["sambench", *(fresh.environment.get("versions") or {})]))
    try:
        told = subprocess.run(
            [python, "-c", _VERSIONS], input=json.dumps(packages), capture_output=True, text=True, check=True
        )
        found = dict(json.loads(told.stdout))
    except OSError as error:
        raise InputError(f"{python} can't be started ({error})") from None
    except (subprocess.CalledProcessError, ValueError):
        raise InputError(f"{python} is no Python interpreter that could be asked for its packages") from None
    if "sambench" not in found:
        raise InputError(f"{python} has no sambench installed")
    return found
