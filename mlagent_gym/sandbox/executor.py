"""The executor that has scripts run by the machine's broker."""

from __future__ import annotations

import itertools
import math
import os
import socket
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from mlagent_gym import beneath
from mlagent_gym.errors import CapacityError, SandboxError
from mlagent_gym.executor import Limits, Run, RunStatus
from mlagent_gym.sandbox.broker_client import BrokerSpec, connect, join, name_of
from mlagent_gym.sandbox.environment import script_environment
from mlagent_gym.sandbox.merge import merge
from mlagent_gym.sandbox.preload import PRELOAD
from mlagent_gym.sandbox.runtime import gpus as machine_gpus
from mlagent_gym.sandbox.runtime import view, wire
from mlagent_gym.sandbox.runtime.gpus import Gpu
from mlagent_gym.sandbox.runtime.orders import Order, Report
from mlagent_gym.sandbox.runtime.slots import Demand
from mlagent_gym.sandbox.visible import hidden_folders, interpreter, interpreter_folders

__all__ = ["SandboxExecutor"]

SHOWN_AS = "/mlagent"
"""What scripts see as the parent of their workspace and of the data."""

_GRACE_S = 60.0
_NUMBERS = itertools.count()


class SandboxExecutor:
    """Runs scripts confined, each in processes of its own.

    Objects are cheap: the processes behind them are shared by all executors of the same
    kind on the machine. One object may be used from several threads.

    All runs of a kind share the machine's cores, memory and graphics processors: a run takes
    as many cores as it has threads, its limit of memory, and `gpus`, or waits until they
    are free. Executors wait in turns, so that one with many runs does not starve the others.

    Parameters
    ----------
    level
        How scripts are confined.
    warm
        Fork scripts from a preloaded interpreter.
    threads
        How many threads each numerical library may start.
    preload
        Modules the preloaded interpreter imports.
    most_forks
        After so many scripts another preloaded interpreter takes over.
    visible
        Further folders that scripts may read, with a library or a model, say. This project's
        own, and prepared data, are shown empty in them.
    gpus
        How many graphics processors each script gets for itself, of those that
        ``CUDA_VISIBLE_DEVICES`` lets this process use; it sees no others.
    cores, memory_mb
        How much all runs may take together; None: what the machine, or the container, has.
    devices
        The machine's graphics processors; None: those that are found.
    """

    def __init__(
        self,
        level: str,
        *,
        warm: bool,
        threads: int = 1,
        preload: tuple[str, ...] = PRELOAD,
        most_forks: int = BrokerSpec.most_forks,
        visible: tuple[str, ...] = (),
        gpus: int = 0,
        cores: int | None = None,
        memory_mb: int | None = None,
        devices: tuple[Gpu, ...] | None = None,
    ):
        self._settings = {
            "level": level,
            "warm": warm,
            "threads": threads,
            "preload": preload,
            "most_forks": most_forks,
            "visible": visible,
            "gpus": gpus,
            "cores": cores,
            "memory_mb": memory_mb,
            "devices": devices,
        }
        self._level = level
        self._warm = warm
        self._threads = threads
        self._gpus = gpus
        self._number = next(_NUMBERS)
        self._own_view = level == "ns"
        confined = level != "none"
        home = view.HOME if self._own_view else "/"
        environment = script_environment(home=home, temporary="/tmp", threads=threads)
        shown = (*interpreter_folders(), *visible) if confined else ()
        self._spec = BrokerSpec(
            level=level,
            python=interpreter(),
            cores=cores or 0,
            memory_mb=memory_mb or 0,
            gpus=machine_gpus.find() if devices is None else devices,
            environment=tuple(environment.items()),
            preload=preload if warm else (),
            most_forks=most_forks,
            visible=shown,
            hidden=hidden_folders(shown) if confined else (),
        )
        self._lease: socket.socket | None = None
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        return self._settings

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Run a script to its end; see `mlagent_gym.executor.Executor.run`."""
        lease = self._hold_lease()
        temporary = None if self._own_view else Path(tempfile.mkdtemp(prefix="mlagent-run-"))
        try:
            order = self._order(script, workspace, data, limits, seed, temporary)
            report, queued_s = self._carry_out(order, lease)
        finally:
            if temporary is not None:
                beneath.delete(temporary)
        return Run(
            status=RunStatus(report.status),
            # The folder is named at random; what the agent reads must not be.
            output=report.output.replace(str(workspace.resolve().parent), SHOWN_AS),
            exit_code=report.exit_code,
            reason=report.reason,
            wall_s=report.wall_s,
            cpu_s=report.cpu_s,
            peak_memory_mb=report.peak_memory_mb,
            written_mb=report.written_mb,
            queued_s=queued_s,
            sandbox=self._level,
        )

    @property
    def kind(self) -> str:
        """A name that executors sharing their processes have in common."""
        return name_of(self._spec)

    def close(self) -> None:
        """Let go of the shared processes; they end when nobody holds them."""
        with self._lock:
            if self._lease is not None:
                self._lease.close()
                self._lease = None

    def _hold_lease(self) -> socket.socket:
        with self._lock:
            if self._lease is None or self._owner != os.getpid() or _is_closed(self._lease):
                if self._lease is not None:
                    self._lease.close()
                self._lease = connect(self._spec)
                self._owner = os.getpid()
            return self._lease

    def _order(
        self,
        script: str,
        workspace: Path,
        data: Path,
        limits: Limits,
        seed: int,
        temporary: Path | None,
    ) -> Order:
        cores = os.cpu_count() or 1
        environment = dict(self._spec.environment) | {"MLAGENT_SEED": str(seed)}
        if temporary is not None:
            environment |= {"HOME": str(temporary), "TMPDIR": str(temporary)}
        return Order(
            level=self._level,
            warm=self._warm,
            python=interpreter(),
            script=script,
            workspace=str(workspace.resolve()),
            data=str(data.resolve()),
            temporary=str(temporary),
            environment=environment,
            wall_s=limits.wall_s,
            cpu_s=limits.wall_s * cores if limits.cpu_s is None else limits.cpu_s,
            memory_mb=limits.memory_mb,
            processes=limits.processes,
            open_files=limits.open_files,
            disk_mb=limits.disk_mb,
            files=limits.files,
            output_kb=limits.output_kb,
            kept_output_kb=limits.kept_output_kb,
            niceness=os.getpriority(os.PRIO_PROCESS, 0),
        )

    def _demand(self, memory_mb: int) -> Demand:
        usable = machine_gpus.usable(self._spec.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
        return Demand(self._threads, memory_mb, self._gpus, usable)

    def _carry_out(self, order: Order, lease: socket.socket) -> tuple[Report, float]:
        asked = {
            "client": self._number,
            "demand": asdict(self._demand(order.memory_mb)),
            "order": asdict(order),
        }
        with join(lease) as connection:
            try:
                wire.send(connection, asked)
                turn, _ = wire.receive(connection)
                if refusal := turn.get("refused"):
                    raise CapacityError(
                        f"This run cannot be made on this machine: {refusal}. Ask for less, or "
                        "use a larger machine."
                    )
                connection.settimeout(math.ceil(order.wall_s) + _GRACE_S)
                message, descriptors = wire.receive(connection)
            except TimeoutError:
                raise SandboxError("The sandbox did not report in time; try again.") from None
            except wire.ClosedError:
                raise SandboxError("The sandbox died during the run; try again.") from None
        report = Report(**message)
        try:
            if report.fault:
                raise SandboxError(f"The script could not be run: {report.fault}. Try again.")
            for changes in descriptors:
                merge(changes, Path(order.workspace), max_bytes=order.disk_mb * 2**20)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return report, turn["queued_s"]


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
