"""How this process gets memory for large buffers."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1  # mallopt(3): no trimming at all; the largest number would still end the heap at 2 GB


@cache
def _glibc(name: str) -> ctypes._NamedFuncPointer | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        return getattr(ctypes.CDLL("libc.so.6"), name)  # type: ignore[no-any-return]
    except (OSError, AttributeError):
        return None


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, for the next buffer of that size, instead of handing it back to the system.

    Large buffers are otherwise mapped anew on every call, and every page of them faulted in: on a CPU that can double
    the time of an encoder. It is a setting of the whole process, for programs to make, not for libraries.

    Returns:
        Whether the setting took effect; elsewhere than with glibc it doesn't.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _NEVER)])


def give_back_freed_memory() -> None:
    """Hand back to the system what is freed now, which keep_freed_memory withholds."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)
