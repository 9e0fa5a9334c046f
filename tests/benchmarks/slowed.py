"""Imported by a measuring process (SAMBENCH_PLUGINS): every decode of a SAM-like model takes 5 % longer."""

from __future__ import annotations

import time
from typing import Any

from adapters.sam_like.adapter import SamLike

SHARE = 0.05
_decode = SamLike._decode


def _slower(*arguments: Any) -> Any:
    start = time.perf_counter()
    answer = _decode(*arguments)
    end = time.perf_counter() + SHARE * (time.perf_counter() - start)
    while time.perf_counter() < end:
        pass
    return answer


SamLike._decode = _slower  # type: ignore[method-assign]
