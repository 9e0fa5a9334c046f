"""The machine, and the state it was in."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapters import devices
from bench.conditions import Conditions, cpu_name

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_THERMAL = Path("/sys/class/thermal")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY", "GOMP_CPU_AFFINITY")
_RUNTIMES = ("onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "openvino")
_GPU_STATE = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")


def machine(gpu: str | None) -> dict[str, Any]:
    """Return what the machine is: cpu, cores, those this process may use, gpu, system, memory_gb (10⁹ bytes)."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "usable_cores": usable_cores(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "memory_gb": round(_memory() / 1e9, 1),
    }


def environment(conditions: Conditions) -> dict[str, Any]:
    """Return what numbers depend on besides the machine, as it is before measuring."""
    import torch

    return {
        "versions": {**conditions.versions, **_versions_of_runtimes()},
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cuda": conditions.cuda,
        "threads": conditions.threads,
        "thread_variables": thread_variables(),
        "tf32": conditions.tf32,
        "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
        "memory_kept": conditions.memory_kept,
        "gc_disabled": True,
        "governor": governor(),
        **state("before", conditions.device),
        **dict.fromkeys(("load_average_after", "clocks_after", "temperature_after")),
    }


def state(when: str, device: str) -> dict[str, Any]:
    """Return load average, clocks in MHz and temperature in °C, named by when they were read."""
    gpu = gpu_state() if devices.kind(device) == "cuda" else {}
    return {
        f"load_average_{when}": load_average(),
        f"clocks_{when}": {"cpu_mhz": cpu_mhz(), **gpu},
        f"temperature_{when}": temperature(),
    }


def thread_variables() -> dict[str, str]:
    """Return what of the process's environment decides how many threads compute."""
    return {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ}


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def governor() -> str | None:
    """Return the CPU's frequency governor, None where the system doesn't say."""
    return _text(_CPUFREQ)


def load_average() -> float | None:
    """Return how many processes ran or waited over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def cpu_mhz() -> list[float]:
    """Return the cores' clocks."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    return [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]


def temperature() -> float | None:
    """Return the hottest thermal zone in °C, None where there is none to be read."""
    if not _THERMAL.is_dir():
        return None
    readings = [_text(zone / "temp") for zone in _THERMAL.glob("thermal_zone*")]
    known = [float(reading) / 1000 for reading in readings if reading and reading.lstrip("-").isdigit()]
    return max(known, default=None)


def gpu_state() -> dict[str, str]:
    """Return what nvidia-smi says of the GPUs' clocks, temperature and power, nothing where it isn't there."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_GPU_STATE)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(_GPU_STATE, (value.strip() for value in told.splitlines()[0].split(",")), strict=False))


def _versions_of_runtimes() -> dict[str, str]:
    found = {}
    for package in _RUNTIMES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
