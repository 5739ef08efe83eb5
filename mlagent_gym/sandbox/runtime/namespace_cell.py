"""A cell with its own processes, files, network and shared memory."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from pathlib import Path
from typing import Any

from . import confinement, init, processes, system, view, wire
from .cells import PreparationError, become_script, fork
from .cgroups import enter
from .identities import Identity
from .nursery import ShadowedError, answer_of, request_fork
from .orders import Order

__all__ = ["NamespaceCell"]

_END_WITHIN_S = 30.0


class NamespaceCell:
    """Processes in namespaces of their own, seen by the warden through descriptors.

    Its first process, and the copy of the preloaded interpreter, are there before the order
    is: making them takes longer than all the rest.

    Parameters
    ----------
    output
        Descriptor the script writes to.
    root
        Where the base of the view is.
    identity
        Who the script will be.
    zygote
        Address of the preloaded interpreter's socket; None: start a new interpreter.
    entrance
        Descriptor of the run's control group; None: it has none.
    """

    changes: int
    proc: Path
    inherited_bytes = 0

    def __init__(
        self,
        output: int,
        root: str,
        identity: Identity,
        zygote: str | None,
        entrance: int | None,
    ):
        ours, theirs = socket.socketpair()
        system.unshare(system.NEW_PROCESSES)
        self._init = os.fork()
        if self._init == 0:
            _be_init(theirs, ours, root, identity, output, entrance)
        theirs.close()
        self._connection = ours
        self._zygote = zygote
        self._warm: tuple[socket.socket, socket.socket] | None = None
        self._is_warm = False
        try:
            self._receive()
            if zygote is not None:
                self._warm = self._ask_for_copy(zygote, output, identity.uid, entrance)
        except BaseException:
            self._abandon()
            raise
        ends = (ours,) if self._warm is None else (ours, *self._warm)
        self.guards = tuple(end.fileno() for end in ends)

    def begin(self, order: Order) -> NamespaceCell:
        """Start an order's script; see `cells.Preparation`."""
        try:
            wire.send(self._connection, vars(order))
            _, (self.changes, self._memory, proc) = self._receive()
            self.proc = Path(f"/proc/self/fd/{proc}")
            if self._warm is not None and order.warm:
                self._is_warm = self._begin_warm(self._warm[1], str(self._zygote), order)
            if not self._is_warm:
                wire.send(self._connection, init.COLD)
        except BaseException:
            self._abandon()
            raise
        self.ended = (self._warm[0] if self._is_warm and self._warm else self._connection).fileno()
        return self

    def pids(self) -> list[int]:
        """Return all processes of the cell but its first."""
        return [pid for pid in processes.all_processes(self.proc) if pid != 1]

    def written(self) -> tuple[int, int]:
        """Return how full the file system for changes is."""
        used = os.fstatvfs(self.changes)
        return (used.f_blocks - used.f_bfree) * used.f_frsize, used.f_files - used.f_ffree

    def unmapped_memory(self) -> int:
        """Return the bytes of files in shared memory, which no process need have mapped."""
        used = os.fstatvfs(self._memory)
        return (used.f_blocks - used.f_bfree) * used.f_frsize

    def end(self) -> tuple[int, float]:
        """Kill all processes of the cell at once, and wait until they are gone."""
        self._connection.settimeout(_END_WITHIN_S)
        try:
            wire.send(self._connection, init.END)
            last = self._receive()[0]
            while "status" not in last:  # it may have ended by itself meanwhile
                last = self._receive()[0]
            status, cpu_s = last["status"], last["cpu_s"]
            if self._is_warm and self._warm is not None:
                self._warm[0].settimeout(_END_WITHIN_S)
                last, _ = wire.receive(self._warm[0])
                status, cpu_s = last["status"], cpu_s + last["cpu_s"]
            os.waitpid(self._init, 0)
        except (TimeoutError, wire.ClosedError) as error:
            self._abandon()
            raise PreparationError(f"the cell of the run broke: {error}") from error
        return status, cpu_s

    def _ask_for_copy(
        self, zygote: str, output: int, uid: int, entrance: int | None
    ) -> tuple[socket.socket, socket.socket]:
        """Have the preloaded interpreter copied into the cell; return connections to both."""
        init_process = os.pidfd_open(self._init)
        ours, theirs = socket.socketpair()
        try:
            cell = (output, init_process, theirs.fileno())
            connection = request_fork(zygote, None, uid, cell, entrance)
        finally:
            os.close(init_process)
            theirs.close()
        return connection, ours

    def _begin_warm(self, copy: socket.socket, zygote: str, order: Order) -> bool:
        """Let the copy become the script; False if it must be started cold."""
        try:
            wire.send(copy, vars(order))
            self.inherited_bytes = answer_of(copy, zygote)["inherited_bytes"]
        except ShadowedError:
            return False
        return True

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        message, descriptors = wire.receive(self._connection)
        if message.get("fault"):
            raise PreparationError(message["fault"])
        return message, descriptors

    def _abandon(self) -> None:
        os.kill(self._init, signal.SIGKILL)
        os.waitpid(self._init, 0)


def _be_init(
    connection: socket.socket,
    other: socket.socket,
    root: str,
    identity: Identity,
    output: int,
    entrance: int | None,
) -> None:
    def start(order: Order) -> int:
        confine = confinement.confine_in_namespaces(order, identity.uid)

        def prepare() -> None:
            enter(entrance)
            confine()

        return fork(lambda: become_script(order, view.WORKSPACE, output, prepare))

    try:
        other.close()
        init.run(connection, root, owner=identity.uid, users=identity.users, start=start)
    except wire.ClosedError:
        pass
    except BaseException:
        wire.send(connection, {"fault": traceback.format_exc()})
    finally:
        os._exit(1)
