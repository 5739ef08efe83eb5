"""Who may run next, when more want to than there is room for."""

from __future__ import annotations

import itertools
import socket
import struct
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Turns", "client_of"]

Waiting = TypeVar("Waiting")
Granted = TypeVar("Granted")


class Turns(Generic[Waiting]):
    """What waits, taken in turns from each client, so that none starves the others."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Waiting]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Waiting]:
        return itertools.chain.from_iterable(self._waiting.values())

    def add(self, client: Hashable, one: Waiting) -> None:
        """Let one of a client's wait."""
        self._waiting.setdefault(client, deque()).append(one)

    def drop(self, one: Waiting) -> None:
        """Let one wait no longer."""
        for client, theirs in list(self._waiting.items()):
            if one in theirs:
                theirs.remove(one)
                if not theirs:
                    del self._waiting[client]

    def take(
        self, give: Callable[[Waiting], Granted | None], may_pass: Callable[[Waiting], bool]
    ) -> tuple[Waiting, Granted] | None:
        """Take the longest waiting of the client whose turn it is, and give it what it needs.

        Parameters
        ----------
        give
            Returns what one was given, or None if that is not free.
        may_pass
            Whether those behind one may be asked before it: it waits for what they do not.

        Returns
        -------
        tuple, optional
            Who may run, with what; None: nobody.
        """
        for client in list(self._waiting):
            first = self._waiting[client][0]
            granted = give(first)
            if granted is not None:
                theirs = self._waiting.pop(client)
                theirs.popleft()
                if theirs:
                    self._waiting[client] = theirs  # behind the other clients
                return first, granted
            if not may_pass(first):
                return None
        return None


def client_of(connection: socket.socket) -> int:
    """Return the process that made a connection."""
    pid, _, _ = struct.unpack(
        "iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    )
    return int(pid)
