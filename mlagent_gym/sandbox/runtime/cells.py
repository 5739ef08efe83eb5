"""Where a script's processes live while they run: one cell for each run."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from . import folders, processes, system
from .orders import Order

__all__ = ["Cell", "PlainCell", "Preparation", "PreparationError", "become_script", "fork"]

_END_WITHIN_S = 20.0
_CLOSED_UP_TO = 2**16


class PreparationError(Exception):
    """The script's process could not be made ready; the message is what it said."""


class Cell(Protocol):
    """The processes of one run, seen from the warden outside."""

    ended: int
    """Descriptor that is readable once the main process has ended."""
    proc: Path
    """A ``/proc`` that shows the cell's processes."""
    inherited_bytes: int
    """Memory the script was forked with."""

    def pids(self) -> list[int]:
        """Return the ids of the living processes, valid in `proc`."""
        ...

    def written(self) -> tuple[int, int]:
        """Return the bytes and files the run has added so far."""
        ...

    def unmapped_memory(self) -> int:
        """Return the bytes of shared memory that the processes' own shares do not count."""
        ...

    def end(self) -> tuple[int, float]:
        """End all processes; return the main one's wait status and the CPU seconds of all.

        Raises
        ------
        PreparationError
            Something could not be ended.
        """
        ...


class Preparation(Protocol):
    """A cell that waits for its order."""

    @property
    def guards(self) -> tuple[int, ...]:
        """Descriptors that become readable if it can no longer be used."""
        ...

    def begin(self, order: Order) -> Cell:
        """Start the script of an order.

        Raises
        ------
        PreparationError, OSError
            It could not be started as it must be.
        """
        ...


class PlainCell:
    """Processes below the warden, in the namespaces of the machine.

    The warden is their subreaper: whatever loses its parent becomes the warden's child,
    so that nothing escapes by forking twice or making a session of its own.

    Parameters
    ----------
    order
        The run.
    output
        Descriptor the script writes to.
    prepare
        What the new process does to itself before it becomes the script.
    """

    proc = Path("/proc")
    inherited_bytes = 0

    def __init__(self, order: Order, output: int, prepare: Callable[[], None]):
        self._order = order
        self._growth = folders.Growth((order.workspace, order.temporary), order.files)
        system.prctl(system.SUBREAPER, 1)
        self._main = fork(lambda: become_script(order, order.workspace, output, prepare))
        self.ended = os.pidfd_open(self._main)

    def pids(self) -> list[int]:
        """Return all living descendants of the warden."""
        return processes.descendants(os.getpid())

    def written(self) -> tuple[int, int]:
        """Return what was added to the workspace and the temp folder."""
        return self._growth.measure(processes.deleted_bytes(self.pids()))

    def unmapped_memory(self) -> int:
        """Return 0: here shared memory is the machine's, and cannot be told apart."""
        return 0

    def end(self) -> tuple[int, float]:
        """Kill what is left, and reap everything."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._main, signal.SIGSTOP)
        if os.waitid(os.P_PID, self._main, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(self._main, signal.SIGKILL)
        _, status = os.waitpid(self._main, 0)
        if not processes.end_all(self.pids, within_s=_END_WITHIN_S):
            raise PreparationError("some processes of the run could not be ended")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return status, used.ru_utime + used.ru_stime


def fork(body: Callable[[], NoReturn]) -> int:
    """Start a child that runs `body`; return its id once it has replaced itself or is ready.

    Raises
    ------
    PreparationError
        It failed before that.
    """
    failed, failing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(failed)
            os.set_inheritable(failing, False)
            body()
        except BaseException:
            os.write(failing, traceback.format_exc().encode())
        finally:
            os._exit(127)
    os.close(failing)
    with os.fdopen(failed, "rb") as pipe:
        trouble = pipe.read().decode("utf-8", "replace")
    if trouble:
        os.waitpid(child, 0)
        raise PreparationError(trouble)
    return child


def become_script(order: Order, folder: str, output: int, prepare: Callable[[], None]) -> NoReturn:
    """Turn the calling process into ``python script.py``."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)
    os.chdir(folder)
    prepare()
    sys.stdout.flush()
    os.execve(order.python, [order.python, order.script], order.environment)
