"""Under which conditions a run computes: device, precision, threads, versions, machine."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, computed_field

from adapters import devices
from adapters.memory import keep_freed_memory
from adapters.packages import GROUP
from bench import __version__

PACKAGES = ("torch", "torchvision", "timm", "segment-anything", "ultralytics", "numpy", "opencv-python", "pillow",
            "pycocotools", "lvis", "transformers", "open_clip_torch", "onnxruntime")  # fmt: skip


class Conditions(BaseModel):
    """What a number depends on besides model, weights, protocol and data.

    Attributes:
        device: cpu, cuda or cuda:N.
        dtype: fp32, bf16 or fp16 (autocast).
        threads: of torch on the CPU.
        tf32: whether CUDA may round matrix products to TF32.
        memory_kept: whether freed memory is kept by the process (adapters.memory).
        cpu, gpu: names; cores: of the machine.
        cuda: the version torch was built for, on a CUDA device.
        system: operating system and Python.
        versions: of the packages that compute, and of those that bring models of their own.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    dtype: str
    threads: int
    tf32: bool
    memory_kept: bool
    cpu: str
    cores: int
    gpu: str | None
    cuda: str | None
    system: str
    versions: dict[str, str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> str:
        """The conditions in a line."""
        where = self.gpu if self.device != "cpu" else f"{self.cpu}, {self.threads} threads"
        return f"{self.device} ({where}), {self.dtype}, torch {self.versions['torch']}"


def prepare(device: str, dtype: str) -> Conditions:
    """Set the process up for a run and return the conditions it then has.

    Args:
        device: auto, cpu, cuda or cuda:N.
        dtype: fp32, bf16 or fp16.

    Raises:
        InputError: for a device that isn't there, or an unknown dtype.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    devices.check(device, dtype)
    kept = keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return Conditions(
        device=device,
        dtype=dtype,
        threads=torch.get_num_threads(),
        tf32=False,
        memory_kept=kept,
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        gpu=None if device == "cpu" else torch.cuda.get_device_name(device),
        cuda=None if device == "cpu" else torch.version.cuda,
        system=f"{platform.system()} {platform.machine()}, Python {sys.version.split()[0]}",
        versions=_versions(),
    )


@cache
def cpu_name() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {"sambench": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    others = (entry.dist for entry in entry_points(group=GROUP) if entry.dist is not None)
    return found | {package.name: package.version for package in others}
