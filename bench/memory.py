"""The most memory that was held while something ran."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

from adapters import devices

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MB = 1e6


def reset_peaks(device: str) -> None:
    """Start anew to look for the most memory held, where the system lets one."""
    with suppress(OSError):
        _RESET.write_text("5")  # proc(5): resets VmHWM to the present resident set
    if devices.kind(device) == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peaks(device: str) -> dict[str, float | None]:
    """Return the most memory held since the last reset, in MB: resident, and of CUDA's tensors."""
    return {"peak_rss_mb": peak_rss_mb(), "peak_cuda_mb": peak_cuda_mb(device)}


def peak_rss_mb() -> float:
    """Return the most memory resident since the last reset, in MB; since the start where there is no resetting.

    Linux says it in VmHWM. Elsewhere getrusage does, which after a fork begins with the parent's figure.
    """
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MB
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MB


def peak_cuda_mb(device: str) -> float | None:
    """Return the most memory that torch's tensors held on a CUDA device since the last reset, in MB; None elsewhere."""
    if devices.kind(device) != "cuda":
        return None
    import torch

    return float(torch.cuda.max_memory_allocated(device)) / _MB
