"""Facts about processes that the operating system knows, and the end of process trees."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_COUNT_SECONDS = 1.0


def kill_tree(pid: int) -> None:
    """Kill a process, all processes that it started, and those that they started.

    Args:
        pid: The process.
    """
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for item in (*process.children(recursive=True), process):
            with suppress(psutil.Error):
                item.kill()


class MemoryKills:
    """Count of processes that were killed for lack of memory, read at most once a second.

    Reading it costs a tenth of a small step.
    """

    def __init__(self) -> None:
        self._count = 0
        self._read_at = -math.inf

    def before_step(self) -> int:
        """Return the count of at most a second ago."""
        now = time.monotonic()
        if now - self._read_at > _COUNT_SECONDS:
            self._count, self._read_at = out_of_memory_kills(), now
        return self._count

    def has_grown(self, since: int) -> bool:
        """Return whether processes were killed since `before_step` returned a count."""
        self._read_at = -math.inf
        return out_of_memory_kills() > since


def out_of_memory_kills(
    process: Path = Path("/proc/self/cgroup"), machine: Path = Path("/proc/vmstat")
) -> int:
    """Return how many processes of this control group, or of this machine, were killed for lack of memory.

    Args:
        process: File that names the control group of this process.
        machine: File with the counters of the machine, for systems without control groups.

    Returns:
        The count; 0 where it is not known.
    """
    for source in (*_events_of(process), machine):
        count = _counter(source)
        if count is not None:
            return count
    return 0


def _events_of(process: Path) -> list[Path]:
    """Return the files that may hold the counter of the control group: version 2, then version 1."""
    try:
        lines = [line.split(":", 2) for line in process.read_text().splitlines()]
    except OSError:
        return []
    groups = {controllers: path.lstrip("/") for _, controllers, path in lines}
    files = [_CGROUPS / groups[""] / "memory.events"] if "" in groups else []
    if "memory" in groups:
        files.append(_CGROUPS / "memory" / groups["memory"] / "memory.oom_control")
    return files


def _counter(source: Path) -> int | None:
    try:
        lines = source.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
