"""The executor that runs each script in a container of its own."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from mlagent_gym import beneath
from mlagent_gym.errors import CapacityError, SandboxError
from mlagent_gym.executor import Limits, Run, RunStatus
from mlagent_gym.sandbox import containers
from mlagent_gym.sandbox.broker_client import runtime_folder
from mlagent_gym.sandbox.container_cells import make_cell
from mlagent_gym.sandbox.containers import Box
from mlagent_gym.sandbox.environment import script_environment
from mlagent_gym.sandbox.images import identity_of
from mlagent_gym.sandbox.merge import merge
from mlagent_gym.sandbox.runtime import folders, machine, processes
from mlagent_gym.sandbox.runtime import gpus as machine_gpus
from mlagent_gym.sandbox.runtime.cells import PreparationError
from mlagent_gym.sandbox.runtime.identities import FIRST_ID
from mlagent_gym.sandbox.runtime.orders import Order, Report
from mlagent_gym.sandbox.runtime.slots import Demand, Grant, Slots
from mlagent_gym.sandbox.runtime.warden import watch

__all__ = ["ContainerExecutor"]

_LOOK_AGAIN_S = 0.05
_ALL = 10**7


class ContainerExecutor:
    """Runs each script in a container of its own, which is removed afterwards.

    The script works on a copy of the workspace. What it left there is brought back once
    the container is gone, as from any other sandbox.

    Runs of one process wait in turns for cores, memory and graphics processors; those of
    several processes share only the latter.

    Parameters
    ----------
    engine
        One of `containers.ENGINES`.
    image
        Has ``python3``, and the libraries that scripts need; must be there already. The
        path of a file or folder for `containers.IMAGES_ARE_FILES`.
    threads
        How many threads each numerical library may start.
    gpus
        How many graphics processors each script gets for itself.
    """

    def __init__(self, engine: str, image: str, *, threads: int = 1, gpus: int = 0):
        self._settings = {"engine": engine, "image": image, "threads": threads, "gpus": gpus}
        self._engine = engine
        self._image = image
        self._threads = threads
        self._gpus = gpus

    def __getstate__(self) -> dict[str, object]:
        return self._settings

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Run a script to its end; see `mlagent_gym.executor.Executor.run`."""
        if closed := _closed_to_others(data.resolve()):
            raise SandboxError(
                f"The script's user could not read {closed}: run chmod -R o+rX {data.resolve()}."
            )
        began = time.monotonic()
        with self._granted(limits) as grant, _folder() as work:
            queued_s = time.monotonic() - began
            _fill(work, workspace)
            environment = script_environment(home="/tmp", temporary="/tmp", threads=self._threads)
            del environment["PATH"]  # the image has its own
            box = Box(
                engine=self._engine,
                image=self._image,
                name=f"mlagent-{secrets.token_hex(8)}",
                script=script,
                work=work,
                data=data.resolve(),
                limits=limits,
                environment=environment | {"MLAGENT_SEED": str(seed)} | grant.environment,
                uid=_uid(),
                others=processes.tasks_of(_uid()),
                gpus=tuple(gpu.name for gpu in grant.gpus),
            )
            report = _carry_out(box)
            _bring_back(work, workspace)
        return Run(
            status=RunStatus(report.status),
            output=report.output,
            exit_code=report.exit_code,
            reason=report.reason,
            wall_s=report.wall_s,
            cpu_s=report.cpu_s,
            peak_memory_mb=report.peak_memory_mb,
            written_mb=report.written_mb,
            queued_s=queued_s,
            sandbox=self._engine,
        )

    @functools.cached_property
    def kind(self) -> str:
        """A name for the engine, the image's content, and the way it is used.

        Raises
        ------
        SandboxError
            The engine or the image is not there.
        """
        image = identity_of(self._engine, self._image)
        box = Box(self._engine, image, "", "", Path(), Path(), Limits(), {}, 0)
        text = json.dumps([containers.run_command(box), sys.version])
        return f"{self._engine}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def close(self) -> None:
        """Do nothing: containers end with their runs."""

    @contextlib.contextmanager
    def _granted(self, limits: Limits) -> Iterator[Grant]:
        """Wait until a run's cores, memory and graphics processors are free."""
        slots, lock = _slots(os.getpid())
        usable = machine_gpus.usable(machine_gpus.find(), os.environ.get("CUDA_VISIBLE_DEVICES"))
        demand = Demand(self._threads, limits.memory_mb, self._gpus, usable)
        if refusal := slots.refusal(demand):
            raise CapacityError(
                f"This run cannot be made on this machine: {refusal}. Set lower limits, or use a "
                "larger machine."
            )
        while True:
            with lock:
                grant = slots.take(demand)
            if grant is not None:
                break
            time.sleep(_LOOK_AGAIN_S)
        try:
            yield grant
        finally:
            with lock:
                slots.give_back(grant)


def _carry_out(box: Box) -> Report:
    """Run a container to its end and remove it."""
    ours, theirs = socket.socketpair()  # would tell that whoever asked has gone: that is us
    with ours, theirs:
        try:
            cell = make_cell(box)
        except FileNotFoundError:
            raise SandboxError(f"There is no program {box.engine!r}: install it.") from None
        try:
            cell.wait_for_start()
            report = watch(_order(box), cell, cell.output, ours)
        except PreparationError as error:
            raise SandboxError(f"The script could not be run: {error}. Try again.") from error
        finally:
            cell.remove()
    if cell.out_of_memory:
        limit_mb = box.limits.memory_mb
        return replace(
            report,
            status=RunStatus.OUT_OF_MEMORY.value,
            reason=f"it used more than {limit_mb} MB",
            exit_code=None,
            peak_memory_mb=max(report.peak_memory_mb, float(limit_mb)),
        )
    return report


def _order(box: Box) -> Order:
    """Return what the warden needs to know."""
    limits = asdict(box.limits) | {"cpu_s": box.cpu_s, "processes": box.processes}
    return Order(
        level=box.engine,
        warm=False,
        python="python3",
        script=box.script,
        workspace=str(box.work),
        data=str(box.data),
        temporary=str(box.work),
        environment=dict(box.environment),
        niceness=0,
        **limits,
    )


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make folders in one that only we can enter; the engine is shown the inner ones."""
    outer = Path(tempfile.mkdtemp(prefix="mlagent-box-"))
    try:
        (outer / "work").mkdir()
        (outer / "scratch").mkdir()
        (outer / "scratch").chmod(0o1777)
        yield outer / "work"
    finally:
        beneath.delete(outer)


def _fill(work: Path, workspace: Path) -> None:
    """Copy a workspace for the script's user."""
    _copy(workspace.resolve(), work)
    if _uid() != os.getuid():
        for path in (work, *work.rglob("*")):
            os.chown(path, _uid(), _uid(), follow_symlinks=False)


def _bring_back(work: Path, workspace: Path) -> None:
    """Make the workspace what the script left; no process of it is alive."""
    with beneath.open_folder(workspace, (), str(workspace)) as folder:
        for name in os.listdir(folder):  # noqa: PTH208 - a descriptor
            beneath.remove(folder, name)
    beneath.make_accessible(work)
    _copy(work, workspace)


def _copy(source: Path, target: Path) -> None:
    """Copy the plain files of a folder into another; what they hold was limited before."""
    size, _ = folders.measure(str(source), at_most=_ALL)
    with beneath.open_folder(source, (), str(source)) as folder:
        merge(folder, target, max_bytes=size)


def _uid() -> int:
    """Return who scripts are: never root."""
    return os.getuid() or FIRST_ID


@functools.lru_cache(maxsize=64)
def _closed_to_others(data: Path) -> str:
    """Return a file of the data that another user than we may not read; empty if none."""
    if os.getuid():
        return ""
    for path in (data, *data.rglob("*")):
        needed = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
        if path.stat().st_mode & needed != needed:
            return str(path)
    return ""


@functools.lru_cache(maxsize=1)
def _slots(pid: int) -> tuple[Slots, threading.Lock]:
    """Return what this process's runs share; `pid` tells a forked one from its parent."""
    gpus = machine_gpus.find()
    slots = Slots(machine.cores(), machine.memory_mb(), gpus, runtime_folder())
    return slots, threading.Lock()
