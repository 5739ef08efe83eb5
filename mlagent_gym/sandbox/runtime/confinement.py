"""What a process does to itself before it becomes a script: it cannot be undone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from . import landlock, processes, seccomp, system
from .orders import Order
from .rlimits import set_limits
from .view import SHARED_MEMORY, TEMPORARY, WORKSPACE

__all__ = [
    "SYSTEM",
    "confine_by_landlock",
    "confine_in_namespaces",
    "real_places",
    "seccomp_program",
]


@cache
def seccomp_program(*, own_view: bool) -> bytes:
    """Return the filter of system calls, built once."""
    return seccomp.build(own_view=own_view)


def confine_in_namespaces(order: Order, uid: int) -> Callable[[], None]:
    """Return what a process in the cell's namespaces must do last."""
    program = seccomp_program(own_view=True)

    def confine() -> None:
        if os.getuid() != uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        else:
            _enter_own_users(uid, os.getgid())
        # Changing the user id forbids a process to look into its own /proc/self.
        system.prctl(system.DUMPABLE, 1)
        system.prctl(system.NO_NEW_PRIVILEGES, 1)
        if landlock.abi():
            landlock.restrict(
                [
                    ("/", landlock.READ_EXECUTE),
                    *((place, landlock.READ_WRITE) for place in _WRITABLE),
                    ("/proc", landlock.READ | landlock.WRITE),
                    ("/dev", landlock.DEVICE),
                ]
            )
        system.drop_capabilities()
        set_limits(order, processes=order.processes)
        seccomp.install(program)

    return confine


def confine_by_landlock(
    order: Order, uid: int, visible: tuple[str, ...], hidden: tuple[str, ...]
) -> Callable[[], None]:
    """Return what a process without namespaces of its own must do last.

    Parameters
    ----------
    order
        The run.
    uid
        Who the script will be.
    visible, hidden
        Folders the script may read beside the system's, and those it may not, which lie
        below them or the system's.
    """
    program = seccomp_program(own_view=False)
    rules = [
        *_without(*real_places(visible, hidden)),
        *((place, landlock.READ) for place in _FACTS),
        *((f"/dev/{name}", landlock.DEVICE) for name in ("null", "zero", "full")),
        *((f"/dev/{name}", landlock.READ) for name in ("random", "urandom")),
        *((path, landlock.DEVICE) for path in order.devices),
        (order.data, landlock.READ),
        (order.workspace, landlock.READ_WRITE),
        (order.temporary, landlock.READ_WRITE),
    ]
    counted = processes.tasks_of(uid) + order.processes

    def confine() -> None:
        if os.getuid() != uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            system.prctl(system.DUMPABLE, 1)
        system.prctl(system.PARENT_DEATH_SIGNAL, signal.SIGKILL)
        system.prctl(system.NO_NEW_PRIVILEGES, 1)
        landlock.restrict(rules)
        system.drop_capabilities()
        set_limits(order, processes=counted)
        seccomp.install(program)

    return confine


@cache
def real_places(
    visible: tuple[str, ...], hidden: tuple[str, ...]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return where what may be read, and what may not, really is; looked up once.

    The kernel adds rules up, by files and not by their names: a place that is allowed by
    another name, a link say, would be allowed in spite of any hole made by the first.
    """
    shown = {os.path.realpath(place): None for place in (*visible, *SYSTEM)}
    return tuple(shown), frozenset(map(os.path.realpath, hidden))


def _without(visible: tuple[str, ...], hidden: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield what of `visible` is not `hidden`, and what is allowed there.

    Folders above a hole can be listed only, as Python does with all it imports from; so then
    can the hole. Links are passed over: what they lead to is allowed where it is, or not.
    """
    pending = list(visible)
    while pending:
        place = pending.pop()
        if place in hidden:
            continue
        if any(hole.startswith(place.rstrip("/") + "/") for hole in hidden):
            yield place, landlock.LIST
            with os.scandir(place) as entries:
                pending += [entry.path for entry in entries if not entry.is_symlink()]
        else:
            yield place, landlock.READ_EXECUTE


SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
_FACTS = (
    "/proc",
    "/etc/localtime",
    "/etc/passwd",
    "/etc/ssl/certs",
    "/etc/fonts",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)
_WRITABLE = (WORKSPACE, TEMPORARY, SHARED_MEMORY)


def _enter_own_users(uid: int, gid: int) -> None:
    """Enter a user namespace of the run's own.

    The kernel then counts only the run's processes against their limit, and lets none of
    them look into one outside, though it has the same user id.
    """
    system.unshare(system.NEW_USERS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
