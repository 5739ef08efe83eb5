"""Messages between our processes: JSON behind a length, with descriptors beside it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

__all__ = ["ClosedError", "receive", "send"]

_LENGTH = struct.Struct("<I")
_MAX_BYTES = 2**24
_MAX_DESCRIPTORS = 8


class ClosedError(ConnectionError):
    """The other side has gone."""


def send(connection: socket.socket, message: Any, descriptors: Sequence[int] = ()) -> None:
    """Send one message, and copies of these descriptors with it."""
    body = json.dumps(message).encode()
    try:
        socket.send_fds(connection, [_LENGTH.pack(len(body))], list(descriptors))
        connection.sendall(body)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError("the other side has gone") from error


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message and the descriptors that came with it, which are now ours to close.

    Raises
    ------
    ClosedError
        The other side has gone before the message was whole.
    """
    try:
        head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, _MAX_DESCRIPTORS)
        head += _exactly(connection, _LENGTH.size - len(head))
        (length,) = _LENGTH.unpack(head)
        if length > _MAX_BYTES:
            raise ClosedError(f"a message of {length} bytes is no message of ours")
        return json.loads(_exactly(connection, length)), descriptors
    except ConnectionResetError as error:
        raise ClosedError("the other side has gone") from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 2**16))
        if not part:
            raise ClosedError("the other side has gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
