"""Whether two runs gave the same masks."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

FIRST = 4
"""Masks of so many inputs are looked at."""


class Digest:
    """The masks of the first inputs; of an input that comes again, the last ones."""

    def __init__(self) -> None:
        self._of_input: dict[int, bytes] = {}

    def add(self, index: int, masks: NDArray[np.bool_]) -> None:
        """Take in (N, H, W) masks of an input."""
        if index < FIRST:
            content = repr(masks.shape).encode() + np.packbits(masks).tobytes()
            self._of_input[index] = sha256(content).digest()

    def __str__(self) -> str:
        """Return 16 hexadecimal digits."""
        return sha256(b"".join(self._of_input[index] for index in sorted(self._of_input))).hexdigest()[:16]
