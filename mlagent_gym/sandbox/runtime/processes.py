"""What processes use, read from ``/proc``, and how to end all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Memory",
    "Process",
    "all_processes",
    "children",
    "deleted_bytes",
    "descendants",
    "end_all",
    "look",
    "memory_of",
    "reap",
    "tasks_of",
]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KB = 1024


@dataclass(frozen=True)
class Process:
    """What one process is and uses."""

    pid: int
    born: int
    """When it started; with the id, its identity."""
    threads: int
    cpu_s: float
    """Of itself and of the children it waited for."""
    resident_bytes: int
    """Memory it alone or with others has, files not counted."""


def all_processes(proc: Path) -> list[int]:
    """Return the process ids in a ``/proc`` file system."""
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def descendants(*ancestors: int) -> list[int]:
    """Return the ids of all processes below some, these not included."""
    children: dict[int, list[int]] = {}
    proc = Path("/proc")
    for pid in all_processes(proc):
        fields = _stat(proc, pid)
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    pending = list(ancestors)
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def look(proc: Path, pids: Iterable[int]) -> list[Process]:
    """Return what processes use; those that have ended meanwhile are left out."""
    found = []
    for pid in pids:
        fields = _stat(proc, pid)
        if fields:
            ticks = sum(map(int, fields[11:15]))
            resident = sum(_status_kb(proc, pid, (b"RssAnon:", b"RssShmem:"))) * _KB
            cpu_s = ticks / _TICKS_PER_S
            found.append(Process(pid, int(fields[19]), int(fields[17]), cpu_s, resident))
    return found


@dataclass(frozen=True)
class Memory:
    """What memory a process has, files not counted."""

    own_bytes: int
    """Pages nobody shares."""
    shared_bytes: int
    """Pages that n processes have, each counted 1/n."""


def memory_of(proc: Path, process: Process) -> Memory:
    """Return the memory of a process; slow, since the kernel walks all its page tables."""
    try:
        text = (proc / str(process.pid) / "smaps_rollup").read_bytes()
    except PermissionError:
        return Memory(process.resident_bytes, 0)
    except OSError:
        return Memory(0, 0)  # it has just ended
    sizes = {
        line.split(b":")[0]: int(line.split()[1]) * _KB for line in text.splitlines()[1:] if line
    }
    private = min(sizes.get(b"Private_Dirty", 0), sizes.get(b"Pss_Anon", 0))
    shares = sizes.get(b"Pss_Anon", 0) + sizes.get(b"Pss_Shmem", 0)
    return Memory(private, shares - private)


def children(parent: int) -> list[int]:
    """Return the ids of the processes just below one."""
    proc = Path("/proc")
    return [
        pid
        for pid in all_processes(proc)
        if (fields := _stat(proc, pid)) and int(fields[1]) == parent
    ]


def tasks_of(uid: int) -> int:
    """Return how many processes and threads a user has."""
    proc = Path("/proc")
    mine = []
    for pid in all_processes(proc):
        with contextlib.suppress(OSError):
            if os.stat(proc / str(pid)).st_uid == uid:
                mine.append(pid)
    return sum(process.threads for process in look(proc, mine))


def deleted_bytes(pids: Iterable[int]) -> int:
    """Return the size on the disk of files that processes have open and nobody can see."""
    sizes = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{name}")
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def end_all(
    find: Callable[[], list[int]], *, within_s: float, bury: Callable[[], None] | None = None
) -> bool:
    """Kill all processes that `find` finds, until it finds none.

    They are stopped first, so that none can fork while the others are being found.

    Parameters
    ----------
    find
        Returns the processes to end.
    within_s
        When to give up.
    bury
        Collects those that are our children; None: all our children.

    Returns
    -------
    bool
        Whether all are gone.
    """
    bury = reap if bury is None else bury
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        bury()
        found = [pid for pid in find() if not _is_zombie(pid)]
        if not found:
            bury()
            return not find()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            if number == signal.SIGSTOP:
                found = find()
        time.sleep(0.001)
    return False


def reap() -> None:
    """Collect the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_zombie(pid: int) -> bool:
    fields = _stat(Path("/proc"), pid)
    return not fields or fields[0] in (b"Z", b"X")


def _stat(proc: Path, pid: int) -> list[bytes]:
    """Return the fields of ``stat`` from the state on; empty if the process is gone."""
    try:
        text = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return []
    return text[text.rindex(b")") + 2 :].split()


def _status_kb(proc: Path, pid: int, names: tuple[bytes, ...]) -> list[int]:
    try:
        text = (proc / str(pid) / "status").read_bytes()
    except OSError:
        return []
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith(names)]
