"""The executor that runs each script in a container of Docker or Podman."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import select
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, cast

from mlagent_gym import beneath
from mlagent_gym.errors import CapacityError, SandboxError
from mlagent_gym.executor import Limits, Run, RunStatus
from mlagent_gym.sandbox import containers
from mlagent_gym.sandbox.broker_client import runtime_folder
from mlagent_gym.sandbox.container_init import BY_SIGNAL, READY
from mlagent_gym.sandbox.containers import Box
from mlagent_gym.sandbox.environment import script_environment
from mlagent_gym.sandbox.merge import merge
from mlagent_gym.sandbox.runtime import folders, machine, processes
from mlagent_gym.sandbox.runtime import gpus as machine_gpus
from mlagent_gym.sandbox.runtime.cells import PreparationError
from mlagent_gym.sandbox.runtime.identities import FIRST_ID
from mlagent_gym.sandbox.runtime.orders import Order, Report
from mlagent_gym.sandbox.runtime.slots import Demand, Grant, Slots
from mlagent_gym.sandbox.runtime.warden import watch

__all__ = ["ContainerExecutor"]

_START_WITHIN_S = 120.0
_END_WITHIN_S = 60.0
_LOOK_AGAIN_S = 0.05
_FIRST = b"\0".join(map(str.encode, containers.FIRST))
_ALL = 10**7
_LONGEST_ERRORS = 2**16


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
        Has ``python3``, and the libraries that scripts need; must be there already.
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
        image = _ask(
            [self._engine, "image", "inspect", "--format", "{{.Id}}", self._image],
            f"Is {self._engine} running, and the image there? If not: "
            f"{self._engine} pull {self._image}",
        )
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


class _ContainerCell:
    """The processes of a container, as `runtime.warden` watches them.

    They are looked at from outside, which needs an engine on this machine; the engine's own
    limits hold without it.
    """

    proc = Path("/proc")
    inherited_bytes = 0

    def __init__(self, box: Box):
        self._box = box
        self._before = folders.measure(str(box.work), at_most=4 * box.limits.files)
        self._cpu_s = 0.0
        self._first = 0
        self.out_of_memory = False
        self._client = subprocess.Popen(
            containers.run_command(box),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # the engine's own; all that is the script's is output
            start_new_session=True,  # Ctrl-C is ours to deal with
        )
        self._output, self._errors = (
            cast(IO[bytes], pipe) for pipe in (self._client.stdout, self._client.stderr)
        )
        self.output = self._output.fileno()
        os.set_blocking(self._errors.fileno(), False)  # what inherited it may live longer
        self.ended = os.pidfd_open(self._client.pid)

    def wait_for_start(self) -> None:
        """Return when the script is about to start."""
        ready, _, _ = select.select([self.output], [], [], _START_WITHIN_S)
        if not ready or os.read(self.output, 1) != READY:
            self._client.kill()
            said = self._said().decode(errors="replace").strip()
            raise PreparationError(f"{self._box.engine} could not start a container: {said}")
        self._first = self._find_first()

    def pids(self) -> list[int]:
        """Return the container's processes, if they can be seen from here."""
        if not self._first:
            return []
        found = [self._first, *processes.descendants(self._first)]
        cpu_s = sum(process.cpu_s for process in processes.look(self.proc, found))
        self._cpu_s = max(self._cpu_s, cpu_s)
        return found

    def written(self) -> tuple[int, int]:
        """Return what was added to the copy of the workspace."""
        size, entries = folders.measure(str(self._box.work), at_most=4 * self._box.limits.files)
        size += processes.deleted_bytes(self.pids())
        return max(size - self._before[0], 0), max(entries - self._before[1], 0)

    def unmapped_memory(self) -> int:
        """Return 0: the engine's own limit counts it."""
        return 0

    def end(self) -> tuple[int, float]:
        """Kill the container and wait until it has ended."""
        if self._client.poll() is None:
            self._client.kill()  # else the engine may wait for it to take all the output
            _engine([self._box.engine, "kill", self._box.name])
        deadline = time.monotonic() + _END_WITHIN_S
        while (state := self._state())["Status"] not in ("exited", "dead"):
            if time.monotonic() > deadline:
                raise PreparationError(f"container {self._box.name} could not be ended")
            time.sleep(_LOOK_AGAIN_S)
        said = self._last_words()
        self.out_of_memory = bool(state["OOMKilled"] or said.get("oom_kills"))
        self._cpu_s = max(self._cpu_s, said.get("cpu_s", 0.0))
        code = int(state["ExitCode"])
        by_signal = code > BY_SIGNAL
        return (code - BY_SIGNAL if by_signal else code << 8), self._cpu_s

    def _last_words(self) -> dict[str, Any]:
        """Return what the first process reported, which the script cannot do in its place."""
        for line in reversed(self._said().splitlines()):
            with contextlib.suppress(ValueError):
                said: dict[str, Any] = json.loads(line)
                return said
        return {}

    def _said(self) -> bytes:
        """Return what the engine's client and the first process said beside the output."""
        self._client.wait(_END_WITHIN_S)
        return self._errors.read(_LONGEST_ERRORS) or b""

    def remove(self) -> None:
        """Remove the container, running or not, and what is left of its client."""
        self._client.kill()
        self._client.wait()
        self._output.close()
        self._errors.close()
        os.close(self.ended)
        _engine([self._box.engine, "rm", "--force", "--volumes", self._box.name])
        left = _ask(
            [self._box.engine, "ps", "--all", "--quiet", "--filter", f"name={self._box.name}"],
            f"Is {self._box.engine} still running?",
        )
        if left:
            raise SandboxError(
                f"Container {self._box.name} could not be removed. Restart {self._box.engine}."
            )

    def _find_first(self) -> int:
        """Return the container's first process; 0 if it cannot be seen from here."""
        found = []
        for pid in processes.all_processes(self.proc):
            with contextlib.suppress(OSError):
                command = (self.proc / f"{pid}/cmdline").read_bytes()
                if command.startswith(_FIRST) and self._box.name.encode() in command:
                    found.append(pid)
        looked = processes.look(self.proc, found)  # its child may not be the script yet
        oldest = min(looked, key=lambda one: (one.born, one.pid), default=None)
        return 0 if oldest is None else oldest.pid

    def _state(self) -> dict[str, Any]:
        said = _engine(
            [
                self._box.engine,
                "container",
                "inspect",
                "--format",
                "{{json .State}}",
                self._box.name,
            ]
        )
        if said.returncode:
            raise PreparationError(f"container {self._box.name} is gone: {said.stderr.strip()}")
        state: dict[str, Any] = json.loads(said.stdout)
        return state


def _carry_out(box: Box) -> Report:
    """Run a container to its end and remove it."""
    ours, theirs = socket.socketpair()  # would tell that whoever asked has gone: that is us
    with ours, theirs:
        try:
            cell = _ContainerCell(box)
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


def _ask(command: list[str], advice: str) -> str:
    """Return what an engine answers."""
    said = _engine(command)
    if said.returncode:
        raise SandboxError(f"{command[0]} said: {said.stderr.strip()[-500:]}. {advice}")
    return said.stdout.strip()


def _engine(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_END_WITHIN_S,
            check=False,
        )
    except FileNotFoundError:
        raise SandboxError(f"There is no program {command[0]!r}: install it.") from None
    except subprocess.TimeoutExpired:
        raise SandboxError(f"{command[0]} does not answer. Restart it.") from None


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder in one that only we can enter; the engine is shown the inner one."""
    outer = Path(tempfile.mkdtemp(prefix="mlagent-box-"))
    try:
        (outer / "work").mkdir()
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
