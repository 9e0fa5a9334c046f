"""The process that measures: a spec comes in as JSON, a line of JSON goes out for each row.

python -m bench.latency.child < spec.json
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO

from adapters.errors import InputError
from bench.latency.plugins import load_plugins


class Orphaned(BaseException):
    """Nobody waits for the result any more."""


def main() -> None:
    """Measure what standard input asks for."""
    told = _own_stdout()
    parent = os.getppid()

    def alive() -> None:
        if os.getppid() != parent:
            raise Orphaned

    spec_text = sys.stdin.read()
    load_plugins()
    from bench.latency.condition import measured_rows
    from bench.latency.spec import Spec

    try:
        for row in measured_rows(Spec.model_validate_json(spec_text), alive):
            _say(told, {"row": row.model_dump(mode="json")})
        _say(told, {"done": True})
    except InputError as error:
        _say(told, {"failed": str(error)})
    except (Orphaned, BrokenPipeError):
        os._exit(1)


def _own_stdout() -> IO[str]:
    """Return the standard output, for rows alone: what libraries print goes to the standard error from now on."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


def _say(told: IO[str], content: dict[str, object]) -> None:
    print(json.dumps(content), file=told, flush=True)


if __name__ == "__main__":
    main()
