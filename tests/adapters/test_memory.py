"""What is freed stays with the process where that was asked for, and goes when it is handed back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LARGE = """
import resource
import numpy as np
from adapters.memory import give_back_freed_memory, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2_500_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_freed_memory()
first, second = faults(), faults()
give_back_freed_memory()
print(first, second, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_more_than_two_gigabytes_are_kept():
    """As much as SAM ViT-B's attention: each page of it would be faulted in anew on each call."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    first, second, after_giving_back = map(int, done.stdout.split())
    assert second < first / 100
    assert after_giving_back > first / 2
