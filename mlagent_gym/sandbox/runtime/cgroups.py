"""Control groups of version 2: exact limits of memory and processes, where we may divide one.

Below the folder that is ours to divide stand::

    mlagent-<word>/     one broker's, locked for as long as it or a warden of it lives
        broker/         the broker, its wardens, the preloaded interpreter
        run-<pid>/      a script and all it starts, named after its warden
    mlagent-others/     what was in the folder itself before: only leaves may have processes

All of it stands beside the other means, which hold without it. See
``Documentation/admin-guide/cgroup-v2.rst`` of the kernel for the files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .delegation import NEEDED, OTHERS, Place, find
from .orders import Order

__all__ = ["Group", "Groups", "claim", "enter"]

_PREFIX = "mlagent-"
_LEAF = "broker"
_MB = 2**20
_KERNEL_MB = 64
"""For what the kernel keeps for a run beside its memory and files: page tables, inodes."""
_ROUNDS = 20
_GONE_WITHIN_S = 2.0
_LOCKED_WITHIN_S = 10.0
_DYING_WITHIN_S = 0.2  # of a broker that was killed a moment ago


def claim(root: Path = Path("/")) -> Groups | None:
    """Divide the group that is ours, and go into a leaf of it.

    Must be done where the processes of that group can be seen. What a broker that was
    killed has left is removed.

    Returns
    -------
    Groups or None
        None if there is no such group, or the kernel refuses any of it: runs are then
        limited by the other means alone.
    """
    place = find(root)
    if place is None:
        return None
    try:
        return _divide(place)
    except OSError:
        traceback.print_exc()  # goes to the broker's log
        return None


def enter(entrance: int | None) -> None:
    """Put the calling process, and all it will start, into the run's group, if it has one."""
    if entrance is not None:
        with contextlib.suppress(OSError):  # then the other means hold alone
            os.write(entrance, b"0")


class Groups:
    """A broker's part of the tree of groups.

    Parameters
    ----------
    folder
        The broker's, with a leaf for itself.
    home
        Where it goes back to.
    lock
        Descriptor of the folder, locked: it says that the groups are in use.
    """

    def __init__(self, folder: Path, home: Path, lock: int):
        self._folder = folder
        self._home = home
        self._lock = lock
        self._dying: set[Path] = set()

    def make(self, warden: int) -> Group | None:
        """Make the group of a warden's run; None if the kernel refuses."""
        folder = self._folder / f"run-{warden}"
        try:
            folder.mkdir()
            return Group(folder, os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            traceback.print_exc()
            return None

    def remove(self, warden: int) -> None:
        """End what is left in the group of a warden that has ended, and remove it."""
        self._dying.add(self._folder / f"run-{warden}")
        self.look_after()

    def look_after(self) -> None:
        """Remove the groups whose processes have ended since they were told to."""
        self._dying = {folder for folder in self._dying if not _removed(folder)}

    def close(self) -> None:
        """Leave the groups and remove them; no run is alive."""
        with contextlib.suppress(OSError):
            _write(self._home / "cgroup.procs", "0")
            _remove_tree(self._folder)
        os.close(self._lock)


@dataclass(frozen=True)
class Group:
    """A run's control group."""

    folder: Path
    entrance: int
    """Descriptor for `enter`."""

    def limit(self, order: Order) -> bool:
        """Set what the order allows, and return whether the kernel took it.

        At level `ns` the files that a run writes are in memory too.
        """
        files_mb = order.disk_mb if order.level == "ns" else 0
        try:
            memory = (order.memory_mb + files_mb + _KERNEL_MB) * _MB
            _write(self.folder / "memory.max", str(memory))
            _write(self.folder / "pids.max", str(order.processes))
        except OSError:
            traceback.print_exc()
            return False
        for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            with contextlib.suppress(OSError):  # a kernel without swap, or an old one
                _write(self.folder / name, value)
        return True

    def memory_bytes(self, files_bytes: int) -> int:
        """Return the memory of the run's processes now.

        Parameters
        ----------
        files_bytes
            How much of it are files that count as disk.
        """
        stat = _numbers(self.folder / "memory.stat")
        return stat.get("anon", 0) + max(stat.get("shmem", 0) - files_bytes, 0)

    def peak_bytes(self) -> int:
        """Return the most memory the processes had, about; 0 if the kernel does not say.

        To be asked once they have ended: the files the kernel keeps then, and its own
        memory, are taken off the peak of all.
        """
        with contextlib.suppress(OSError, ValueError):
            peak = int((self.folder / "memory.peak").read_text())
            stat = _numbers(self.folder / "memory.stat")
            return max(peak - stat["file"] - stat["kernel"], 0) if "kernel" in stat else 0
        return 0

    def cpu_s(self) -> float:
        """Return the processor time of all processes that were ever in the group."""
        return _numbers(self.folder / "cpu.stat").get("usage_usec", 0) / 1e6

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended processes at this group's limit, not the machine's."""
        events = _numbers(self.folder / "memory.events")
        return bool(events.get("oom") and events.get("oom_kill"))

    def kill(self) -> None:
        """End all processes in the group at once, if the kernel can (Linux 5.14)."""
        _kill(self.folder)


def _divide(place: Place) -> Groups:
    with _locked(place.folder):
        _sweep(place.folder)
        if place.is_crowded:
            place.home.mkdir(exist_ok=True)
            _move_all(place.folder, place.home)
        _hand_down(place.folder)
        folder = place.folder / (_PREFIX + secrets.token_hex(8))
        folder.mkdir()
        groups = Groups(folder, place.home, _lock(folder, within_s=0))
    try:
        _hand_down(folder)
        (folder / _LEAF).mkdir()
        _write(folder / _LEAF / "cgroup.procs", "0")
        _try_limits(folder / "run-0")
    except OSError:
        groups.close()
        raise
    return groups


def _try_limits(folder: Path) -> None:
    """See whether a run's group could be made and limited."""
    folder.mkdir()
    for name in ("memory.max", "pids.max"):
        _write(folder / name, "max")
    folder.rmdir()


def _hand_down(folder: Path) -> None:
    """Let the groups below one have limits of their own."""
    if not set(_text(folder / "cgroup.subtree_control").split()) >= NEEDED:
        _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(NEEDED)))


def _move_all(source: Path, target: Path) -> None:
    """Move all processes of a group into another below it, those too that start meanwhile."""
    for _ in range(_ROUNDS):
        found = _text(source / "cgroup.procs").split()
        if not found:
            return
        for pid in found:
            try:
                _write(target / "cgroup.procs", pid)
            except OSError as error:
                if error.errno != errno.ESRCH:  # it has just ended
                    raise
    raise OSError(errno.EBUSY, "processes keep coming", str(source))


def _sweep(folder: Path) -> None:
    """Remove what brokers have left that were killed: nobody holds its lock."""
    for left in folder.glob(f"{_PREFIX}*"):
        if left.name == OTHERS:
            continue
        with contextlib.suppress(OSError), _locked(left, within_s=_DYING_WITHIN_S):
            _remove_tree(left)


@contextlib.contextmanager
def _locked(folder: Path, *, within_s: float = _LOCKED_WITHIN_S) -> Iterator[None]:
    descriptor = _lock(folder, within_s=within_s)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, within_s: float) -> int:
    """Return a descriptor of a folder that holds its lock."""
    deadline = time.monotonic() + within_s
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise
            time.sleep(0.02)
        else:
            return descriptor


def _remove_tree(folder: Path) -> None:
    """End all processes in a broker's groups, and remove these."""
    _kill(folder)
    deadline = time.monotonic() + _GONE_WITHIN_S
    left = [*(path for path in folder.iterdir() if path.is_dir()), folder]
    while left := [path for path in left if not _removed(path)]:
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "processes do not end", str(folder))
        time.sleep(0.01)


def _removed(folder: Path) -> bool:
    """Remove a group if nothing is alive in it; else tell that to end."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        _kill(folder)
        return False
    return True


def _kill(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _write(folder / "cgroup.kill", "1")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _numbers(path: Path) -> dict[str, int]:
    """Return what a file with a name and a number in each line says."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {name: int(number) for name, number in pairs}
