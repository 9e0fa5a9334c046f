"""What of the machine may disturb times: threads, other load, stolen time, clocks, heat."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from adapters import devices
from bench.latency import environment

Level = Literal["good", "mind", "unknown", "wrong"]
Found = tuple[Level, str, str]
"""How bad, of what, what."""

FOREIGN_CORES, STOLEN = 0.1, 0.01
"""More than this of other processes' load, in cores, and of stolen time, as a share, is worth minding."""

WARM_C = 85.0
SHOWN = 2
_PROC = Path("/proc")
_THROTTLED = "/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"


def threads() -> Found:
    """Return whether torch computes with more threads than there are cores for it."""
    import torch

    count, usable = torch.get_num_threads(), environment.usable_cores()
    given = environment.thread_variables()
    told = f"torch computes with {count} threads on {usable} usable of {os.cpu_count()} cores"
    told += f" ({', '.join(f'{name}={value}' for name, value in given.items())})" if given else ""
    if count > usable:
        return "wrong", "threads", f"{told}: they wait for each other; set OMP_NUM_THREADS={usable}"
    over = [name for name, value in given.items() if value.isdigit() and int(value) > usable]
    return ("mind", "threads", f"{told}: {', '.join(over)} ask for more") if over else ("good", "threads", told)


def governor() -> Found:
    """Return whether the clock may follow the load."""
    found = environment.governor()
    if found is None:
        return "unknown", "clock", "no frequency governor to be read, as in most virtual machines"
    if found == "performance":
        return "good", "clock", "the governor is performance"
    return "mind", "clock", f"the governor is {found}: the clock follows the load; performance keeps it up"


def heat(device: str) -> Found:
    """Return how hot the machine is, and whether it has had to slow down for it."""
    throttled = sum(_numbers(Path("/").glob(_THROTTLED.lstrip("/"))))
    if devices.kind(device) == "cuda":
        state = environment.gpu_state()
        if state:
            return "good", "heat", ", ".join(f"{name} {value}" for name, value in state.items())
    degrees = environment.temperature()
    if degrees is None:
        return "unknown", "heat", "no temperature to be read"
    told = f"{degrees:.0f} °C, slowed down for heat {throttled} times since the start"
    return ("mind", "heat", told) if degrees > WARM_C or throttled else ("good", "heat", told)


class Watch:
    """Other processes' load, and time that the hypervisor gave to others, from now on until it is asked."""

    def __init__(self, proc: Path = _PROC) -> None:
        self.proc = proc
        self.began, self.busy, self.stolen = time.monotonic(), _busy(proc), _stolen(proc)

    def found(self) -> Iterator[Found]:
        """Yield what was seen since."""
        seconds = max(1e-9, time.monotonic() - self.began)
        yield self._load(_busy(self.proc), seconds)
        yield self._steal(_stolen(self.proc))

    def _load(self, busy: Mapping[int, tuple[str, float]], seconds: float) -> Found:
        if not busy:
            return "unknown", "load", "other processes can't be seen"
        used = {pid: (name, now - self.busy.get(pid, (name, 0.0))[1]) for pid, (name, now) in busy.items()}
        cores = sum(spent for _, spent in used.values()) / seconds
        busiest = sorted(used.values(), key=lambda own: -own[1])[:SHOWN]
        told = f"other processes kept {cores:.2f} cores busy"
        if cores <= FOREIGN_CORES:
            return "good", "load", told
        names = ", ".join(f"{name} {spent / seconds:.0%}" for name, spent in busiest)
        return "mind", "load", f"{told} ({names}); load average {environment.load_average()}"

    def _steal(self, now: tuple[float, float] | None) -> Found:
        if now is None or self.stolen is None:
            return "unknown", "stolen time", "the system doesn't say"
        share = (now[0] - self.stolen[0]) / max(1e-9, now[1] - self.stolen[1])
        told = f"{share:.1%} of the time went to other virtual machines"
        return ("mind" if share > STOLEN else "good"), "stolen time", told


def _busy(proc: Path) -> dict[int, tuple[str, float]]:
    """Return each other process's name and the seconds of processor time that it has used."""
    found = {}
    for stat in proc.glob("[0-9]*/stat"):
        pid = int(stat.parent.name)
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        fields = rest.split()  # from the state on: man proc_pid_stat's utime and stime are 12th and 13th of these
        if pid != os.getpid():
            found[pid] = (name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return found


def _stolen(proc: Path) -> tuple[float, float] | None:
    """Return the machine's stolen and whole processor time, in ticks."""
    try:
        ticks = [float(value) for value in (proc / "stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, IndexError, ValueError):
        return None
    return (ticks[7], sum(ticks)) if len(ticks) == 8 else None


def _numbers(files: Iterator[Path]) -> Iterator[int]:
    for file in files:
        try:
            yield int(file.read_text())
        except (OSError, ValueError):
            continue
