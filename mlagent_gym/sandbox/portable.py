"""Running scripts without confinement on systems other than Linux, as well as can be."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, cast

import psutil

from mlagent_gym import beneath
from mlagent_gym.executor import Limits, Run, RunStatus
from mlagent_gym.sandbox.environment import script_environment
from mlagent_gym.sandbox.runtime.folders import Growth
from mlagent_gym.sandbox.runtime.output import HeadAndTail

__all__ = ["PortableExecutor"]

_LOOK_EVERY_S = 0.05
_END_WITHIN_S = 5.0
_END_AGAIN_S = 0.01
_CHUNK = 2**16
_MB = 2**20


class PortableExecutor:
    """Runs each script as ``python script.py`` and watches what it uses.

    Needs nothing of Linux, and confines nothing: a script can read, write and send whatever
    its user can. A process that leaves the script's session and loses its parent between two
    looks may outlive the run.
    """

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Run a script to its end; see `mlagent_gym.executor.Executor.run`."""
        temporary = Path(tempfile.mkdtemp(prefix="mlagent-run-"))
        environment = script_environment(home=str(temporary), temporary=str(temporary), threads=1)
        try:
            process = subprocess.Popen(
                [sys.executable, script],
                cwd=workspace,
                env=environment | {"MLAGENT_SEED": str(seed)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with process, cast(IO[bytes], process.stdout) as output:
                return _Watch(process, output.fileno(), workspace, temporary, limits).run()
        finally:
            beneath.delete(temporary)

    def close(self) -> None:
        """Do nothing: processes end with their runs."""


class _Watch:
    """What is known of a run so far."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: int,
        workspace: Path,
        temporary: Path,
        limits: Limits,
    ):
        self._process = process
        self._descriptor = output
        self._folders = (workspace, temporary)
        self._limits = limits
        self._began = time.monotonic()
        self._family = {psutil.Process(process.pid)}
        self._growth = Growth((str(workspace), str(temporary)), limits.files)
        self._output = HeadAndTail(limits.kept_output_kb * 1024)
        self._cpu_s: dict[psutil.Process, float] = {}
        self._peak_memory = self._peak_written = 0
        self._is_open = True
        os.set_blocking(output, False)

    def run(self) -> Run:
        """Watch the script until it has ended, or end it."""
        stopped: tuple[RunStatus, str] | None = None
        try:
            look_at_s = 0.0
            while stopped is None and self._process.poll() is None:
                wait_s = max(look_at_s - time.monotonic(), 0.0)
                if self._is_open:
                    select.select([self._descriptor], [], [], wait_s)
                else:
                    time.sleep(wait_s)
                stopped = self._read()
                if stopped is None and time.monotonic() >= look_at_s:
                    stopped = self._look()
                    look_at_s = time.monotonic() + _LOOK_EVERY_S
            wall_s = time.monotonic() - self._began
        finally:
            self._end()
        stopped = stopped or self._read() or self._look_at_disk()
        status, reason, exit_code = (*stopped, None) if stopped else self._verdict()
        return Run(
            status,
            self._output.text().replace(str(self._folders[0].resolve().parent), "/mlagent"),
            exit_code=exit_code,
            reason=reason,
            wall_s=wall_s,
            cpu_s=sum(self._cpu_s.values()),
            peak_memory_mb=self._peak_memory / _MB,
            written_mb=self._peak_written / _MB,
        )

    def _verdict(self) -> tuple[RunStatus, str, int | None]:
        code = self._process.returncode
        if code < 0:
            return RunStatus.KILLED, f"it was ended by {signal.Signals(-code).name}", None
        if code:
            return RunStatus.ERROR, f"exit status {code}", code
        return RunStatus.OK, "", 0

    def _read(self) -> tuple[RunStatus, str] | None:
        """Take what has come; return why the run must end, if it must."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, _CHUNK):
                self._output.add(chunk)
                if self._output.total > self._limits.output_kb * 1024:
                    reason = f"it wrote more than {self._limits.output_kb} kB of output"
                    return RunStatus.OUTPUT_LIMIT, reason
            self._is_open = False
        return None

    def _look(self) -> tuple[RunStatus, str] | None:
        """Measure all; return why the run must end, if it must."""
        limits = self._limits
        memory = threads = 0
        for one in self._living():
            with contextlib.suppress(psutil.Error):
                memory += one.memory_info().rss
                threads += one.num_threads()
                times = one.cpu_times()
                self._cpu_s[one] = times.user + times.system
        self._peak_memory = max(self._peak_memory, memory)
        if time.monotonic() - self._began > limits.wall_s:
            return RunStatus.TIMEOUT, f"it ran longer than {limits.wall_s:g} s"
        if limits.cpu_s is not None and sum(self._cpu_s.values()) > limits.cpu_s:
            return RunStatus.TIMEOUT, f"it used more than {limits.cpu_s:g} s of processor time"
        if threads > limits.processes:
            reason = f"it had more than {limits.processes} processes and threads"
            return RunStatus.KILLED, reason
        if memory > limits.memory_mb * _MB:
            return RunStatus.OUT_OF_MEMORY, f"it used more than {limits.memory_mb} MB"
        return self._look_at_disk()

    def _look_at_disk(self) -> tuple[RunStatus, str] | None:
        written, files = self._growth.measure()
        self._peak_written = max(self._peak_written, written)
        if written > self._limits.disk_mb * _MB:
            return RunStatus.DISK_LIMIT, f"it filled the {self._limits.disk_mb} MB it may write"
        if files > self._limits.files:
            return RunStatus.DISK_LIMIT, f"it made more than {self._limits.files} files"
        return None

    def _living(self) -> set[psutil.Process]:
        """Return the processes that are alive, new ones among them."""
        for one in tuple(self._family):
            with contextlib.suppress(psutil.Error):
                self._family.update(one.children(recursive=True))
        self._family = {one for one in self._family if one.is_running()}
        return self._family

    def _end(self) -> None:
        """Kill all that is known of the run, until nothing new is found."""
        deadline = time.monotonic() + _END_WITHIN_S
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        while (left := self._living()) and time.monotonic() < deadline:
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            self._process.poll()
            time.sleep(_END_AGAIN_S)
