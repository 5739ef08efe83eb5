"""The first process of a cell: it makes the cell's view, starts cold scripts, buries all."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from . import system, view, wire
from .orders import Order

__all__ = ["COLD", "END", "run"]

COLD = "cold"
END = "end"

_HOST_NAME = "mlagent"
_SETHOSTNAME = 170
_OWN = system.NEW_MOUNTS | system.NEW_NETWORK | system.NEW_IPC | system.NEW_HOSTNAME


def run(
    connection: socket.socket,
    root: str,
    *,
    owner: int,
    users: int | None,
    start: Callable[[Order], int],
) -> NoReturn:
    """Be process 1 of a cell, until told to end it.

    Says ``{}`` when its namespaces are there. Is then told the order, and says ``{}`` with
    the descriptors of a `view.Scratch` when the cell is ready for it. Then, for each
    message: `COLD` starts the script and is answered with ``{"ended": true}`` when
    it has ended; `END` kills everything and is answered with the script's wait status
    and the processor time of all.

    Parameters
    ----------
    connection
        To the warden. When it breaks, the cell ends.
    root, owner, users
        See `view.enter`.
    start
        Starts an order's script cold and returns its process.
    """
    system.prctl(system.PARENT_DEATH_SIGNAL, signal.SIGKILL)
    os.setsid()
    system.unshare(_OWN)
    system.call(_SETHOSTNAME, _HOST_NAME.encode(), len(_HOST_NAME))
    wire.send(connection, {})
    message, _ = wire.receive(connection)
    order = Order(**message)
    scratch = view.enter(root, order, owner=owner, users=users)
    waking, wake = socket.socketpair()
    for end in (waking, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    wire.send(connection, {}, (scratch.changes, scratch.shared_memory, scratch.proc))
    main, status = 0, None
    while True:
        ready, _, _ = select.select([connection, waking], [], [])
        if waking in ready:
            with contextlib.suppress(BlockingIOError):
                waking.recv(4096)
            ended = dict(_reap())
            if main in ended:
                status = ended[main]
                wire.send(connection, {"ended": True})
        if connection in ready:
            message, _ = wire.receive(connection)
            if message == COLD:
                main = start(order)
            elif message == END:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
                ended = dict(_reap(wait=True))
                status = ended.get(main, status)
                used = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu_s = used.ru_utime + used.ru_stime
                wire.send(connection, {"status": status, "cpu_s": cpu_s})
                os._exit(0)


def _reap(*, wait: bool = False) -> list[tuple[int, int]]:
    """Collect the children that have ended, or wait until all have."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
            if not pid:
                break
            ended.append((pid, status))
    return ended
