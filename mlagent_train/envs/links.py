"""Steps travel between processes over connections of their own.

Ray places, watches and ends the processes. A call of one of its actors costs the caller
and the called about a millisecond of processor time each, whatever is called; a message on
a connection costs a small part of that, and there are four of them in every step.

Whoever connects first says the key, which Ray hands to those who may; nothing is unpickled
before it was right.
"""

from __future__ import annotations

import asyncio
import hmac
import pickle
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Address", "Caller", "Door", "Link", "LinkLostError", "serve"]

_KEY_BYTES = 32
_HEAD = struct.Struct(">Q")
"""The length of the pickle that follows."""

Answer = Callable[[Any], Awaitable[Any]]


class LinkLostError(ConnectionError):
    """The other end of a connection is gone."""


@dataclass(frozen=True)
class Address:
    """Where a door is, and what opens it."""

    host: str
    port: int
    key: bytes = field(repr=False)


def _packed(message: Any) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _HEAD.pack(len(body)) + body


class _End(asyncio.Protocol):
    """Makes whole messages of what comes in on a connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()
        """Done once the connection is no more."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._buffer)
            if len(self._buffer) < _HEAD.size + size:
                return
            body = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
            del self._buffer[: _HEAD.size + size]
            self.received(pickle.loads(body))

    def received(self, message: Any) -> None:
        raise NotImplementedError

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, message: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_packed(message))

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()


class Link(_End):
    """The end of a connection that asks; any number of questions at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._count = 0

    async def ask(self, message: Any) -> Any:
        """Return the other end's answer.

        Raises
        ------
        LinkLostError
            The other end is gone.
        Exception
            What it raised.
        """
        if self.lost.done():
            raise LinkLostError("the connection is closed")
        self._count += 1
        number = self._count
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.send((number, message))
            return await answer
        finally:
            del self._asked[number]

    def received(self, message: Any) -> None:
        """Give an answer to the one who waits for it."""
        number, error, value = message
        waiting = self._asked.get(number)
        if waiting is None or waiting.done():  # nobody waits for it any more
            return
        if error is None:
            waiting.set_result(value)
        else:
            waiting.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell those who wait."""
        super().connection_lost(error)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(LinkLostError(str(error or "the other end closed it")))


class _Answering(_End):
    """The end of a connection that is asked."""

    def __init__(self, answer: Answer):
        super().__init__()
        self._answer = answer
        self._under_way: set[asyncio.Task[None]] = set()

    def received(self, message: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._reply(*message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _reply(self, number: int, message: Any) -> None:
        answer, failed = None, None
        try:
            answer = await self._answer(message)
        except Exception as error:
            failed = _portable(error)
        self.send((number, failed, answer))


def _portable(error: Exception) -> Exception:
    """Return the error, or one that says the same if it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error


class _Guest(asyncio.Protocol):
    """A new connection: it has to say the key and a name, and becomes what the name stands for."""

    def __init__(self, key: bytes, welcome: Callable[[str], _End | None]):
        self._key = key
        self._welcome = welcome
        self._said = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._said += data
        if len(self._said) < _KEY_BYTES + _HEAD.size:
            return
        if not hmac.compare_digest(bytes(self._said[:_KEY_BYTES]), self._key):
            self._transport.abort()
            return
        (size,) = _HEAD.unpack_from(self._said, _KEY_BYTES)
        end = _KEY_BYTES + _HEAD.size + size
        if len(self._said) < end:
            return
        name = self._said[_KEY_BYTES + _HEAD.size : end].decode()
        known = self._welcome(name)
        if known is None:
            self._transport.abort()
            return
        known.connection_made(self._transport)
        self._transport.set_protocol(known)
        if rest := bytes(self._said[end:]):
            known.data_received(rest)


def _hello(key: bytes, name: str) -> bytes:
    return key + _HEAD.pack(len(name.encode())) + name.encode()


class Door:
    """Where others connect to: who comes without a name asks, who is expected is asked.

    Parameters
    ----------
    answer
        Answers what those without a name ask.
    """

    def __init__(self, answer: Answer):
        self._answer = answer
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._expected: dict[str, asyncio.Future[Link]] = {}
        self._ends: set[_End] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str) -> None:
        """Listen on an address of this machine."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Guest(self._key, self._welcome), host, 0, backlog=1024
        )

    @property
    def address(self) -> Address:
        """Where it is; it has to be open."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port, self._key)

    def expect(self, name: str) -> asyncio.Future[Link]:
        """Return what will be the link to the one who comes under this name."""
        coming = self._expected[name] = asyncio.get_running_loop().create_future()
        coming.add_done_callback(lambda _: self._expected.pop(name, None))
        return coming

    def close(self) -> None:
        """Let nobody in any more and cut all connections."""
        if self._server is not None:
            self._server.close()
        for end in list(self._ends):
            end.close()

    def _welcome(self, name: str) -> _End | None:
        end: _End
        if name:
            coming = self._expected.get(name)
            if coming is None or coming.done():
                return None
            end = Link()
            coming.set_result(end)
        else:
            end = _Answering(self._answer)
        self._ends.add(end)
        end.lost.add_done_callback(lambda _: self._ends.discard(end))
        return end


class Caller:
    """Asks at a door; connected while somebody uses it, so that nothing is left open.

    Parameters
    ----------
    address
        The door.
    """

    def __init__(self, address: Address):
        self._address = address
        self._users = 0
        self._link: asyncio.Task[Link] | None = None

    async def ask(self, message: Any) -> Any:
        """Return the answer; raises as `Link.ask`."""
        self._users += 1
        if self._link is None:
            self._link = asyncio.get_running_loop().create_task(self._connect())
        task = self._link
        try:
            link = await asyncio.shield(task)
            return await link.ask(message)
        finally:
            self._users -= 1
            if not self._users:
                self._link = None
                await _cut(task)

    async def _connect(self) -> Link:
        loop, where = asyncio.get_running_loop(), self._address
        try:
            transport, link = await loop.create_connection(Link, where.host, where.port)
        except OSError as error:
            raise LinkLostError(str(error)) from error
        transport.write(_hello(self._address.key, ""))
        return link


async def _cut(task: asyncio.Task[Link]) -> None:
    """Close a link that is there or was about to be, and wait until its socket is closed."""
    if not task.done():
        task.cancel()
    elif not task.cancelled() and task.exception() is None:
        link = task.result()
        link.close()
        await link.lost


def serve(address: Address, name: str, answer: Callable[[Any], Any]) -> None:
    """Connect to a door under a name and answer one question after another, until it closes.

    Raises
    ------
    OSError
        The door is not there, or was lost in the middle of a question.
    """
    with (
        socket.create_connection((address.host, address.port)) as connection,
        connection.makefile("rb") as incoming,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_hello(address.key, name))
        while len(head := incoming.read(_HEAD.size)) == _HEAD.size:
            number, message = pickle.loads(incoming.read(_HEAD.unpack(head)[0]))
            connection.sendall(_packed((number, None, answer(message))))
