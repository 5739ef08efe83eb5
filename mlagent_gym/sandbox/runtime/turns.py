"""Who may run next, when more want to than there are slots."""

from __future__ import annotations

import itertools
import socket
import struct
from collections import deque
from collections.abc import Iterator

__all__ = ["Turns", "client_of"]


class Turns:
    """Waiting connections, taken in turns from each client, so that none starves the others."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[socket.socket]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, client: int, connection: socket.socket) -> None:
        """Let a connection of a client wait."""
        self._waiting.setdefault(client, deque()).append(connection)

    def take(self) -> socket.socket:
        """Return the longest waiting connection of the client whose turn it is."""
        client = next(iter(self._waiting))
        theirs = self._waiting.pop(client)
        connection = theirs.popleft()
        if theirs:
            self._waiting[client] = theirs  # behind the other clients
        return connection

    def __iter__(self) -> Iterator[socket.socket]:
        return itertools.chain.from_iterable(self._waiting.values())


def client_of(connection: socket.socket) -> int:
    """Return the process that made a connection."""
    pid, _, _ = struct.unpack(
        "iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    )
    return int(pid)
