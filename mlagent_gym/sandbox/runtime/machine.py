"""What the machine, or the container we are in, has: cores and memory."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory_mb", "cores", "memory_mb"]

_MB = 2**20


def cores(root: Path = Path("/")) -> int:
    """Return how many processor cores we may use, by affinity and by control group."""
    most = float(len(os.sched_getaffinity(0)))
    for folder in _groups(root, "cpu"):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            most = min(most, int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / "cpu.cfs_quota_us").read_text())
            if limit > 0:
                most = min(most, limit / int((folder / "cpu.cfs_period_us").read_text()))
    return max(math.ceil(most), 1)


def memory_mb(root: Path = Path("/")) -> int:
    """Return how much memory there is, by machine and by control group."""
    limits = [_limit(folder) for folder in _groups(root, "memory")]
    return int(min([_meminfo(root, "MemTotal"), *limits]) // _MB)


def available_memory_mb(root: Path = Path("/")) -> int:
    """Return how much of the memory nobody uses now."""
    free = [_meminfo(root, "MemAvailable")]
    for folder in _groups(root, "memory"):
        with contextlib.suppress(OSError, ValueError):
            free.append(_limit(folder) - _used(folder))
    return max(int(min(free) // _MB), 0)


def _meminfo(root: Path, name: str) -> float:
    with contextlib.suppress(OSError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of our control group and of those above it, of either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    top = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in (top / controller,) if controllers else (top, top / "unified"):
            own = mount / path.lstrip("/")
            # In a container, the path may be the one outside.
            for folder in (own, *own.parents):
                if folder.is_relative_to(mount) and folder.is_dir():
                    yield folder


def _limit(folder: Path) -> float:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return float((folder / name).read_text())  # "max": no number
    return math.inf


def _used(folder: Path) -> float:
    """Return the bytes a group uses, but for files the kernel can drop at any time."""
    for name, cached in (
        ("memory.current", "inactive_file "),
        ("memory.usage_in_bytes", "total_inactive_file "),
    ):
        with contextlib.suppress(OSError, ValueError):
            used = float((folder / name).read_text())
            for line in (folder / "memory.stat").read_text().splitlines():
                if line.startswith(cached):
                    used -= float(line.split()[1])
            return used
    return 0.0
