"""The process that stands over one run: starts it, watches its limits, ends all of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict

from . import processes, wire
from .cells import Cell, Preparation, PreparationError
from .cgroups import Group
from .memory import Meter
from .orders import Order, Report
from .output import HeadAndTail

__all__ = ["serve", "watch"]

_MB = 2**20
_FIRST_LOOK_S = 0.02
_LOOK_EVERY_S = 0.05
_LONGEST_DISK_PAUSE_S = 0.5
_NEARLY = 0.9


class _Stop(Exception):  # noqa: N818 - an end, not an error
    """The run must end: a limit was reached."""

    def __init__(self, status: str, reason: str):
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


def serve(
    control: socket.socket, prepare: Callable[[int], Preparation], group: Group | None
) -> None:
    """Prepare a cell, wait for an order, carry it out, and report.

    Parameters
    ----------
    control
        Brings an `Order`, how long it has waited, and a connection to the client; when that
        one breaks, the run ends. When `control` breaks before, nothing is run.
    prepare
        Makes all of a cell that does not depend on the order, whose script will write to a
        descriptor.
    group
        Control group that the script will be in; None: it has none of its own.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    trouble = ""
    try:
        prepared = prepare(writing)
    except (PreparationError, OSError) as error:
        prepared, trouble = None, _said(error)
    guards = [control.fileno(), *(prepared.guards if prepared else ())]
    broken = control.fileno() not in select.select(guards, [], [])[0]
    if broken:  # the preloaded interpreter has died, say; another cell will be made
        return
    try:
        message, (client, *_) = wire.receive(control)
    except wire.ClosedError:
        return
    connection = socket.socket(fileno=client)
    order = Order(**message["order"])
    cell: Cell | None = None
    try:
        wire.send(connection, {"queued_s": message["queued_s"]})
        if prepared is None:
            raise PreparationError(trouble)
        if group is not None and not group.limit(order):
            group = None
        cell = prepared.begin(order)
        os.close(writing)
        report = watch(order, cell, reading, connection, group)
    except wire.ClosedError:
        return
    except (PreparationError, OSError) as error:
        report = Report(fault=_said(error))
    _reply(connection, report, cell)


def _said(error: BaseException) -> str:
    traceback.print_exc()
    return str(error).strip()


def _reply(connection: socket.socket, report: Report, cell: Cell | None = None) -> None:
    changes = getattr(cell, "changes", None)
    try:
        wire.send(connection, asdict(report), () if changes is None else (changes,))
    except wire.ClosedError:
        return


def watch(
    order: Order,
    cell: Cell,
    output: int,
    connection: socket.socket,
    group: Group | None = None,
) -> Report:
    """Stand over a started cell until it has ended, by itself or by a limit."""
    watcher = _Watch(order, cell, output, connection, group)
    status, reason = "", ""
    try:
        watcher.until_ended()
    except _Stop as stop:
        status, reason = stop.status, stop.reason
    wall_s = watcher.elapsed_s
    if group is not None:
        group.kill()
    wait_status, cpu_s = cell.end()
    watcher.drain()
    exit_code: int | None = None
    if group is not None:
        cpu_s = max(cpu_s, group.cpu_s())
    if not status:
        status, reason, exit_code = watcher.verdict(wait_status, cpu_s)
    if group is not None:
        watcher.note_peak(group)
        if group.ran_out_of_memory():
            status, reason, exit_code = "out_of_memory", watcher.memory_reason(), None
    return Report(
        status=status,
        reason=reason,
        exit_code=exit_code,
        output=watcher.output.text(),
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_memory_mb=watcher.peak_memory_bytes / _MB,
        written_mb=watcher.peak_written_bytes / _MB,
    )


class _Watch:
    """What is known of a run so far."""

    def __init__(
        self,
        order: Order,
        cell: Cell,
        output: int,
        connection: socket.socket,
        group: Group | None,
    ):
        self._order = order
        self._cell = cell
        self._group = group
        self._descriptor = output
        self._connection = connection
        self._started = time.monotonic()
        self._meter = Meter(cell.proc, cell.inherited_bytes)
        self._disk_at_s = 0.0
        self.output = HeadAndTail(order.kept_output_kb * 1024)
        self.peak_memory_bytes = 0
        self.peak_written_bytes = 0
        self.peak_files = 0
        os.set_blocking(output, False)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def until_ended(self) -> None:
        """Return when the main process has ended; raise `_Stop` when a limit was reached."""
        poller = select.poll()
        for descriptor in (self._cell.ended, self._descriptor, self._connection.fileno()):
            poller.register(descriptor, select.POLLIN)
        interval_s = _FIRST_LOOK_S
        look_at_s = interval_s
        while True:
            now_s = self.elapsed_s
            if now_s >= self._order.wall_s:
                raise _Stop("timeout", f"it ran longer than {self._order.wall_s:g} s")
            wait_s = max(min(look_at_s, self._order.wall_s) - now_s, 0.0)
            ready = dict(poller.poll(wait_s * 1000 + 0.5))
            if self._connection.fileno() in ready:
                raise _Stop("killed", "whoever asked for it has gone")
            if self._descriptor in ready and self._read() == b"":
                poller.unregister(self._descriptor)
            if self._cell.ended in ready:
                return
            if self.elapsed_s >= look_at_s:
                self._look()
                interval_s = min(2 * interval_s, _LOOK_EVERY_S)
                look_at_s = self.elapsed_s + interval_s

    def drain(self) -> None:
        """Read what is left in the pipe; nobody can write to it any more."""
        with contextlib.suppress(_Stop):
            while self._read():
                pass

    def verdict(self, wait_status: int, cpu_s: float) -> tuple[str, str, int | None]:
        """Return status, reason and exit code of a run that ended by itself.

        A script can send itself the kernel's signals for a limit: they count only if what
        was measured is that much.
        """
        self._measure_disk()
        if self.output.total > self._order.output_kb * 1024:
            return "output_limit", self._output_reason(), None
        full = self._full()
        if os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            if number == signal.SIGXCPU and cpu_s >= self._order.cpu_s:
                return "timeout", self._cpu_reason(), None
            nearly_full = self.peak_written_bytes >= _NEARLY * self._order.disk_mb * _MB
            if number == signal.SIGXFSZ and nearly_full:
                return "disk_limit", f"a file was larger than {self._order.disk_mb} MB", None
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            return "killed", f"it was ended by {name}", None
        code = os.WEXITSTATUS(wait_status)
        if full and (code or self._exceeded()):
            return "disk_limit", full, code
        return ("ok", "", 0) if code == 0 else ("error", f"exit status {code}", code)

    def note_peak(self, group: Group) -> None:
        """Take over the peak that the group saw between two looks."""
        limit = self._order.memory_mb * _MB
        peak = limit if group.ran_out_of_memory() else min(group.peak_bytes(), limit)
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak)

    def memory_reason(self) -> str:
        """Return what is said of a run that had too much memory."""
        return f"it used more than {self._order.memory_mb} MB"

    def _read(self) -> bytes | None:
        """Take what has come; None when there is nothing now, nothing when it was the end."""
        try:
            chunk = os.read(self._descriptor, 2**16)
        except BlockingIOError:
            return None
        self.output.add(chunk)
        if self.output.total > self._order.output_kb * 1024:
            raise _Stop("output_limit", self._output_reason())
        return chunk

    def _look(self) -> None:
        order = self._order
        group = self._group
        found = processes.look(self._cell.proc, self._cell.pids())
        cpu_s = sum(process.cpu_s for process in found)
        if group is not None:  # knows those too that ended without being waited for
            cpu_s = max(cpu_s, group.cpu_s())
        if cpu_s > order.cpu_s:
            raise _Stop("timeout", self._cpu_reason())
        if sum(process.threads for process in found) > order.processes:
            raise _Stop("killed", f"it had more than {order.processes} processes and threads")
        limit = order.memory_mb * _MB
        memory = self._meter.total(found, limit) + self._cell.unmapped_memory()
        if group is not None:
            files_bytes = self._cell.written()[0] if order.level == "ns" else 0
            memory = max(memory, group.memory_bytes(files_bytes))
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        if memory > limit:
            raise _Stop("out_of_memory", self.memory_reason())
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        if self.elapsed_s < self._disk_at_s:
            return
        started = time.monotonic()
        self._measure_disk()
        # Walking a large tree should not take more than a twentieth of the time.
        pause_s = min(20 * (time.monotonic() - started), _LONGEST_DISK_PAUSE_S)
        self._disk_at_s = self.elapsed_s + pause_s
        if full := self._full():
            raise _Stop("disk_limit", full)

    def _measure_disk(self) -> None:
        written, files = self._cell.written()
        self.peak_written_bytes = max(self.peak_written_bytes, written)
        self.peak_files = max(self.peak_files, files)

    def _exceeded(self) -> bool:
        """Whether more was written than allowed, which only a watched limit lets happen."""
        order = self._order
        return self.peak_written_bytes > order.disk_mb * _MB or self.peak_files > order.files

    def _full(self) -> str:
        if self.peak_written_bytes >= self._order.disk_mb * _MB:
            return f"it filled the {self._order.disk_mb} MB it may write"
        if self.peak_files > self._order.files:
            return f"it made more than {self._order.files} files"
        return ""

    def _cpu_reason(self) -> str:
        return f"it used more than {self._order.cpu_s:g} s of processor time"

    def _output_reason(self) -> str:
        return f"it wrote more than {self._order.output_kb} kB of output"
