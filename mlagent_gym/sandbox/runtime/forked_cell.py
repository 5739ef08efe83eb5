"""A cell without namespaces, whose script is forked from the preloaded interpreter."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path

from . import folders, processes, wire
from .cells import PreparationError
from .nursery import answer_of, request_fork
from .orders import Order

__all__ = ["ForkedCell"]

_END_WITHIN_S = 30.0


class ForkedCell:
    """A script and what it started, as descendants of the preloaded interpreter.

    The script is the subreaper of its descendants, and the interpreter that of the
    script's: whatever the interpreter finds below itself that is no script has outlived
    one, and is killed.

    Parameters
    ----------
    order
        The run.
    output
        Descriptor the script writes to.
    uid
        Who the script will be.
    zygote
        Address of the preloaded interpreter's socket.
    entrance
        Descriptor of the run's control group; None: it has none.

    Raises
    ------
    ShadowedError
        The script must be started cold.
    """

    proc = Path("/proc")

    def __init__(self, order: Order, output: int, uid: int, zygote: str, entrance: int | None):
        self._order = order
        self._growth = folders.Growth((order.workspace, order.temporary), order.files)
        self._connection = request_fork(zygote, order, uid, (output,), entrance)
        answer = answer_of(self._connection, zygote)
        self._main: int = answer["pid"]
        self.inherited_bytes: int = answer["inherited_bytes"]
        self._process = os.pidfd_open(self._main)
        self.ended = self._process

    def pids(self) -> list[int]:
        """Return the script's process and all below it."""
        return [self._main, *processes.descendants(self._main)]

    def written(self) -> tuple[int, int]:
        """Return what was added to the workspace and the temp folder."""
        return self._growth.measure(processes.deleted_bytes(self.pids()))

    def unmapped_memory(self) -> int:
        """Return 0: scripts at this level have no shared memory files."""
        return 0

    def end(self) -> tuple[int, float]:
        """Kill the script; the interpreter ends what it leaves, and then reports."""
        self._connection.settimeout(_END_WITHIN_S)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGSTOP)
            if not select.select([self._process], [], [], 0)[0]:
                processes.end_all(lambda: processes.descendants(self._main), within_s=_END_WITHIN_S)
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        try:
            last, _ = wire.receive(self._connection)
        except (TimeoutError, wire.ClosedError) as error:
            raise PreparationError("the preloaded interpreter died") from error
        if last.get("fault"):
            raise PreparationError(last["fault"])
        return last["status"], last["cpu_s"]
