"""The machine's pulse: a fixed calculation, timed again and again between the samples.

On a shared machine everything may be a fifth slower for half a minute, and no number of samples tells that from a
change of code. What the same calculation took at the same time does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST, INTERVAL = 2, 0.02
"""So many beats at a time, at a stage's begin, at its end, and whenever so many seconds have gone since the last."""

POSITIONS, TOKENS, WIDTH, BLOCKS = 4096, 72, 256, 2
"""The sizes of SAM's decoder, which a beat imitates: tokens of all heads and positions of the image attend both ways.

On a machine that was slowed from outside for a while, a decoder changed 1.2 times as much as this, as logarithms, and
bringing masks to size half as much; matrix products alone would have shown less than half of it.
"""

RULE = f"{BURST} beats before and after a stage's samples and every {INTERVAL:g} s between them"

Beat = Callable[[], float]


def beat_on(device: str) -> Beat:
    """Return the function that computes once on a device and returns how many seconds that took."""
    import torch
    from torch.nn import functional as F

    from adapters import devices

    generator = torch.Generator().manual_seed(0)
    image, tokens, weight = (
        torch.rand(size, WIDTH, generator=generator).to(device) for size in (POSITIONS, TOKENS, WIDTH)
    )

    def beat() -> float:
        devices.wait(device)
        start = time.perf_counter()
        positions = image
        for _ in range(BLOCKS):
            read = torch.mm(torch.mm(tokens, positions.T).softmax(1), positions)
            written = torch.mm(torch.mm(positions, tokens.T).softmax(1), read)
            positions = F.layer_norm(positions + written, (WIDTH,))
        F.gelu(torch.mm(positions, weight))
        devices.wait(device)
        return time.perf_counter() - start

    beat()
    return beat


class Pulse:
    """Takes the pulse while a stage is measured.

    Attributes:
        seconds: of all beats, in order.
    """

    def __init__(self, beat: Beat | None) -> None:
        self._beat = beat
        self._last = -INTERVAL
        self.seconds: list[float] = []

    def burst(self) -> None:
        """Take a burst."""
        if self._beat is not None:
            self.seconds += [self._beat() for _ in range(BURST)]
            self._last = time.perf_counter()

    def when_due(self) -> None:
        """Take a burst if the last one is long enough ago."""
        if time.perf_counter() - self._last >= INTERVAL:
            self.burst()
