"""Which of a data set's images a protocol takes."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from bench.datasets import Dataset
from bench.protocols import Protocol


def taken(protocol: Protocol, dataset: Dataset) -> Collection[int]:
    """Return the ids of the images a protocol takes: all, or of LVIS so many as annotations.lvis_subset says.

    A subset is the same however many of the images are run: those whose number's hash with the seed comes first.
    """
    count = protocol.annotations.lvis_subset
    if count is None:
        return dataset.known_images
    ranked = sorted(dataset.known_images, key=lambda image: sha256(f"{protocol.seed} {image}".encode()).digest())
    return frozenset(ranked[:count])
