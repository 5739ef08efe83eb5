"""The process that waits for orders, and forks a warden for each."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import os
import select
import signal
import socket
import time
import traceback
from typing import NoReturn

from . import confinement, warden, wire
from .identities import Identity, Pool
from .kinds import make_cell
from .nursery import Nursery
from .orders import Setting
from .turns import Turns, client_of

__all__ = ["serve"]

_BACKLOG = 1024


def serve(listening: socket.socket, setting: Setting) -> None:
    """Serve until nobody has been connected for `setting.linger_s`.

    A connection that says nothing is a lease: it keeps the broker alive. One that speaks
    becomes a warden's.

    Parameters
    ----------
    listening
        Bound to the path that clients know.
    setting
        What to serve.
    """
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    waking, wake = socket.socketpair()
    for end in (waking, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    confinement.seccomp_program(own_view=setting.level == "ns")  # once, not in every warden
    gc.freeze()
    poller = select.poll()
    poller.register(listening, select.POLLIN)
    poller.register(waking, select.POLLIN)
    pool = Pool(setting.slots, exchange=setting.level == "ns")
    nursery = Nursery(setting) if setting.preload else None
    leases: dict[int, socket.socket] = {}
    wardens: dict[int, Identity] = {}
    turns = Turns()
    idle_since = time.monotonic()
    while True:
        ready = [descriptor for descriptor, _ in poller.poll(1000)]
        if waking.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                waking.recv(4096)
        for pid in _ended():
            if pid in wardens:
                pool.give_back(wardens.pop(pid))
        if nursery is not None:
            nursery.look_after()
        if listening.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                connection, _ = listening.accept()
                leases[connection.fileno()] = connection
                poller.register(connection, select.POLLIN)
                with contextlib.suppress(wire.ClosedError):
                    wire.send(connection, {"broker": os.getpid()})
        for descriptor in ready:
            if descriptor in leases:
                connection = leases.pop(descriptor)
                poller.unregister(descriptor)
                if _has_spoken(connection):
                    turns.add(client_of(connection), connection)
                else:
                    connection.close()
        while turns and len(wardens) < setting.slots:
            connection = turns.take()
            identity = pool.take()
            others = [*leases.values(), *turns, listening]
            wardens[_fork_warden(connection, others, setting, identity)] = identity
            connection.close()
        if leases or wardens:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > setting.linger_s and _closed(listening, setting):
            if nursery is not None:
                nursery.close()
            return


def _has_spoken(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except ConnectionResetError:
        return False


def _fork_warden(
    connection: socket.socket, others: list[socket.socket], setting: Setting, identity: Identity
) -> int:
    child = os.fork()
    if child == 0:
        _be_warden(connection, others, setting, identity)
    return child


def _be_warden(
    connection: socket.socket, others: list[socket.socket], setting: Setting, identity: Identity
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in others:
            other.close()
        warden.serve(connection, functools.partial(make_cell, setting, identity))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _ended() -> list[int]:
    """Collect children that have ended: wardens, interpreters, orphans given to us."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.append(pid)
    return ended


def _closed(listening: socket.socket, setting: Setting) -> bool:
    """Stop listening, unless a client has just come."""
    with open(setting.lock, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if select.select([listening], [], [], 0)[0]:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(listening.getsockname())
        listening.close()
        return True
