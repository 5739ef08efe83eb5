"""The machine: interpreter, cores, memory, disk, graphics processors."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from mlagent_gym import data
from mlagent_gym.doctor.finding import Finding, Status
from mlagent_gym.sandbox.runtime import system

__all__ = ["findings"]

_GB = 1e9
_LEAST_MEMORY_GB = 2.0
_LEAST_DISK_GB = 2.0
_SECTION = "machine"


def findings() -> Iterator[Finding]:
    """Yield what is found of the machine."""
    yield _system()
    yield _python()
    yield _cores()
    yield _memory()
    yield _cache()
    yield _gpu()


def _system() -> Finding:
    fits = sys.platform == "linux" and system.machine_supported()
    return Finding(
        _SECTION,
        "system",
        Status.OK if fits else Status.BROKEN,
        f"{platform.system()} {platform.release()}, {platform.machine()}",
        "" if fits else "use Linux on x86-64: elsewhere scripts cannot be confined.",
        needed=True,
    )


def _python() -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        asked = metadata("mlagent-gym")["Requires-Python"] or ""
    except PackageNotFoundError:  # a bare source tree
        asked = ""
    fits = SpecifierSet(asked).contains(platform.python_version(), prereleases=True)
    return Finding(
        _SECTION,
        "Python",
        Status.OK if fits else Status.BROKEN,
        f"{platform.python_version()} ({sys.executable})",
        "" if fits else f"install Python {asked} and make a new virtual environment with it.",
        needed=True,
    )


def _cores() -> Finding:
    import psutil

    usable = len(psutil.Process().cpu_affinity() or ()) or os.cpu_count() or 1
    value = f"{usable} usable of {os.cpu_count()}"
    if (share := _cgroup_cores()) is not None and share < usable:
        value += f", limited to {share:g} by the container"
    return Finding(_SECTION, "cores", Status.OK, value)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free_gb, total_gb = memory.available / _GB, memory.total / _GB
    if (limit := _cgroup_number("memory.max")) is not None and limit < memory.total:
        total_gb, free_gb = limit / _GB, min(free_gb, limit / _GB)
    fits = free_gb >= _LEAST_MEMORY_GB
    return Finding(
        _SECTION,
        "memory",
        Status.OK if fits else Status.BROKEN,
        f"{free_gb:.1f} GB free of {total_gb:.1f} GB",
        "" if fits else f"end other programs: scripts need some {_LEAST_MEMORY_GB:g} GB.",
    )


def _cache() -> Finding:
    """Return whether prepared data can be kept, which everything needs."""
    root = data.cache_root()
    there = next(path for path in (root, *root.parents) if path.exists())
    free_gb = shutil.disk_usage(there).free / _GB
    value = f"{free_gb:.1f} GB free in {root}"
    elsewhere = "name another folder in the environment variable MLAGENT_CACHE."
    if not _can_write(there):
        return Finding(
            _SECTION, "cache", Status.BROKEN, f"{root} cannot be written to", elsewhere, needed=True
        )
    fits = free_gb >= _LEAST_DISK_GB
    return Finding(
        _SECTION,
        "cache",
        Status.OK if fits else Status.BROKEN,
        value,
        "" if fits else f"free some room, or {elsewhere}",
        needed=True,
    )


def _gpu() -> Finding:
    """Ask the driver's own tool: a library would hold memory on each device it looks at."""
    tool = shutil.which("nvidia-smi")
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    if tool is None:
        return _no_gpu("none (no NVIDIA driver)")
    try:
        done = subprocess.run(
            [tool, *query], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _broken_gpu(str(error))
    rows = [row.strip() for row in done.stdout.splitlines() if row.strip()]
    if done.returncode != 0:
        return _broken_gpu((done.stderr or done.stdout).strip().splitlines()[0:1])
    if not rows:
        return _no_gpu("none")
    shown = "; ".join(rows[:8])
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    note = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES={hidden!r})"
    return Finding(_SECTION, "GPU", Status.OK, f"{len(rows)}: {shown}{note}")


def _no_gpu(value: str) -> Finding:
    return Finding(
        _SECTION,
        "GPU",
        Status.ABSENT,
        value,
        "nothing for the environments and small models; training a 7B model needs some.",
    )


def _broken_gpu(why: object) -> Finding:
    said = why[0] if isinstance(why, list) and why else why or "nvidia-smi failed"
    return Finding(
        _SECTION,
        "GPU",
        Status.BROKEN,
        f"the driver does not answer: {said}",
        "restart the machine, or install the driver anew; the environments need no GPU.",
    )


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cgroup_cores() -> float | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or no limit
        return None


def _cgroup_number(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text())
    except (OSError, ValueError):
        return None
