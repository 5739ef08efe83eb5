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
from .identities import Identity
from .nursery import ShadowedError, request_fork
from .orders import Order

__all__ = ["NamespaceCell"]

_END_WITHIN_S = 30.0


class NamespaceCell:
    """Processes in namespaces of their own, seen by the warden through descriptors.

    Parameters
    ----------
    order
        The run.
    output
        Descriptor the script writes to.
    root
        Where the base of the view is.
    identity
        Who the script will be.
    zygote
        Address of the preloaded interpreter's socket; None: start a new interpreter.
    """

    def __init__(
        self, order: Order, output: int, root: str, identity: Identity, zygote: str | None
    ):
        ours, theirs = socket.socketpair()
        system.unshare(system.NEW_PROCESSES)
        self._init = os.fork()
        if self._init == 0:
            _be_init(theirs, ours, root, order, identity, output)
        theirs.close()
        self._connection = ours
        self.inherited_bytes = 0
        self._warm: socket.socket | None = None
        try:
            _, (self.changes, self._memory, proc) = self._receive()
            self.proc = Path(f"/proc/self/fd/{proc}")
            if zygote is not None:
                self._warm = self._start_warm(zygote, order, output, identity.uid)
            if self._warm is None:
                wire.send(self._connection, init.COLD)
        except BaseException:
            self._abandon()
            raise
        self.ended = (self._warm or self._connection).fileno()

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
            if self._warm is not None:
                self._warm.settimeout(_END_WITHIN_S)
                last, _ = wire.receive(self._warm)
                status, cpu_s = last["status"], cpu_s + last["cpu_s"]
            os.waitpid(self._init, 0)
        except (TimeoutError, wire.ClosedError) as error:
            self._abandon()
            raise PreparationError(f"the cell of the run broke: {error}") from error
        return status, cpu_s

    def _start_warm(self, zygote: str, order: Order, output: int, uid: int) -> socket.socket | None:
        """Have the script forked into the cell; None if it must be started cold."""
        init_process = os.pidfd_open(self._init)
        try:
            connection, answer = request_fork(zygote, order, uid, (output, init_process))
            self.inherited_bytes = answer["inherited_bytes"]
            return connection
        except ShadowedError:
            return None
        finally:
            os.close(init_process)

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
    order: Order,
    identity: Identity,
    output: int,
) -> None:
    try:
        other.close()
        confine = confinement.confine_in_namespaces(order, identity.uid)
        init.run(
            connection,
            root,
            order,
            owner=identity.uid,
            users=identity.users,
            start=lambda: fork(lambda: become_script(order, view.WORKSPACE, output, confine)),
        )
    except wire.ClosedError:
        pass
    except BaseException:
        wire.send(connection, {"fault": traceback.format_exc()})
    finally:
        os._exit(1)
