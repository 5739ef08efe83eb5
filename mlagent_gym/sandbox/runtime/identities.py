"""User ids for scripts, where the gym is run by root."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import Final

from . import system

__all__ = ["FIRST_ID", "IDS", "Identity", "Pool", "is_root"]

FIRST_ID: Final = 61184
"""First of the ids that no account has, by systemd's and Debian's convention."""
IDS: Final = 256

_HIGHEST = 2**32 - 2


@dataclass(frozen=True)
class Identity:
    """Who a script is."""

    uid: int
    users: int | None = None
    """User namespace in which this id and root are exchanged; None: we are this user."""


def is_root() -> bool:
    """Whether scripts must be given another user id than ours."""
    return os.getuid() == 0


class Pool:
    """As many identities as there can be runs at a time.

    Parameters
    ----------
    count
        How many.
    exchange
        Whether an identity needs its user namespace.
    """

    def __init__(self, count: int, *, exchange: bool):
        uids = [FIRST_ID + number % IDS for number in range(count)] if is_root() else []
        self._free = [Identity(uid, _exchange_with_root(uid) if exchange else None) for uid in uids]

    def take(self) -> Identity:
        """Return an identity that no other run has."""
        return self._free.pop() if is_root() else Identity(os.getuid())

    def give_back(self, identity: Identity) -> None:
        """Let the next run have an identity."""
        if is_root():
            self._free.append(identity)


def _exchange_with_root(uid: int) -> int:
    """Return a user namespace where `uid` and 0 mean each other, and other ids themselves."""
    lines = [(0, uid, 1), (1, 1, uid - 1), (uid, 0, 1), (uid + 1, uid + 1, _mapped_above(uid))]
    text = "".join(f"{inner} {outer} {count}\n" for inner, outer, count in lines if count > 0)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            system.unshare(system.NEW_USERS)
            os.write(writing, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        if not os.read(reading, 1):
            raise OSError("no user namespace could be made")
        for name in ("uid_map", "gid_map"):
            descriptor = os.open(f"/proc/{child}/{name}", os.O_WRONLY)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _mapped_above(uid: int) -> int:
    """Return how many ids above one exist for us; in a container there may be few."""
    with open("/proc/self/uid_map") as file:
        for line in file:
            inner, _, count = map(int, line.split())
            if inner <= uid < inner + count:
                return min(inner + count - 1, _HIGHEST) - uid
    raise OSError(f"the user id {uid} does not exist here")
