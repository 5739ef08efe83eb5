"""The processes of a container, as `runtime.warden` watches them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Any, cast

from mlagent_gym.errors import SandboxError
from mlagent_gym.sandbox import containers
from mlagent_gym.sandbox.container_init import BY_SIGNAL, READY
from mlagent_gym.sandbox.containers import Box
from mlagent_gym.sandbox.runtime import folders, processes
from mlagent_gym.sandbox.runtime.cells import PreparationError

__all__ = ["ContainerCell", "FileImageCell", "ask", "make_cell"]

_START_WITHIN_S = 120.0
_END_WITHIN_S = 60.0
_LOOK_AGAIN_S = 0.05
_FIRST = b"\0".join(map(str.encode, containers.FIRST))
_LONGEST_ERRORS = 2**16


def make_cell(box: Box) -> ContainerCell:
    """Start a container."""
    return FileImageCell(box) if box.engine in containers.IMAGES_ARE_FILES else ContainerCell(box)


class ContainerCell:
    """The processes of a container of Docker or Podman.

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
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # the engine's own; all that is the script's is output
            start_new_session=True,  # Ctrl-C is ours to deal with
        )
        self._input, self._output, self._errors = (
            cast(IO[bytes], pipe)
            for pipe in (self._client.stdin, self._client.stdout, self._client.stderr)
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
            tell([self._box.engine, "kill", self._box.name])
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
        self._forget_client()
        tell([self._box.engine, "rm", "--force", "--volumes", self._box.name])
        left = ask(
            [self._box.engine, "ps", "--all", "--quiet", "--filter", f"name={self._box.name}"],
            f"Is {self._box.engine} still running?",
        )
        if left:
            raise SandboxError(
                f"Container {self._box.name} could not be removed. Restart {self._box.engine}."
            )

    def _forget_client(self) -> None:
        self._client.kill()
        self._client.wait()
        self._input.close()
        self._output.close()
        self._errors.close()
        os.close(self.ended)

    def _find_first(self) -> int:
        """Return the container's first process; 0 if it cannot be seen from here."""
        found = []
        for pid in processes.all_processes(self.proc):
            with contextlib.suppress(OSError):
                program, _, rest = (self.proc / f"{pid}/cmdline").read_bytes().partition(b"\0")
                command = os.path.basename(program) + b"\0" + rest  # noqa: PTH119 - of bytes
                if command.startswith(_FIRST) and self._box.name.encode() in rest:
                    found.append(pid)
        looked = processes.look(self.proc, found)  # its child may not be the script yet
        oldest = min(looked, key=lambda one: (one.born, one.pid), default=None)
        return 0 if oldest is None else oldest.pid

    def _state(self) -> dict[str, Any]:
        said = tell(
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


class FileImageCell(ContainerCell):
    """A container that is nothing but processes: there is no service to ask about it.

    It is limited by what its first process sets and by being watched from outside, so that
    it must be seen from here. When its first process is killed, the kernel ends all others.
    """

    def __init__(self, box: Box):
        self._memory = -1
        self._alive = -1
        super().__init__(box)

    def wait_for_start(self) -> None:
        """Return when the script is about to start, and can be watched."""
        super().wait_for_start()
        if not self._first:
            raise PreparationError("the container's processes cannot be seen from here")
        self._alive = os.pidfd_open(self._first)
        self._memory = os.open(f"/proc/{self._first}/root/dev/shm", os.O_RDONLY | os.O_CLOEXEC)
        self._input.write(READY)
        self._input.flush()

    def written(self) -> tuple[int, int]:
        """Return what was added to the copy of the workspace, and to the temporary files."""
        size, entries = super().written()
        more, others = folders.measure(str(self._box.scratch), at_most=4 * self._box.limits.files)
        return size + more, entries + others

    def unmapped_memory(self) -> int:
        """Return the bytes of files in shared memory, which no process need have mapped."""
        used = os.fstatvfs(self._memory)
        return (used.f_blocks - used.f_bfree) * used.f_frsize

    def end(self) -> tuple[int, float]:
        """Kill the first process, and wait until the kernel has ended all of them."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._alive, signal.SIGKILL)
        if not select.select([self._alive], [], [], _END_WITHIN_S)[0]:
            raise PreparationError(f"container {self._box.name} could not be ended")
        said = self._last_words()
        self._cpu_s = max(self._cpu_s, said.get("cpu_s", 0.0))
        code = self._client.returncode
        return (code - BY_SIGNAL if code > BY_SIGNAL else code << 8), self._cpu_s

    def remove(self) -> None:
        """End what there is of the container and its client."""
        if first := self._first or self._find_first():
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
        self._forget_client()
        for descriptor in (self._alive, self._memory):
            if descriptor >= 0:
                os.close(descriptor)


def ask(command: list[str], advice: str) -> str:
    """Return what an engine answers."""
    said = tell(command)
    if said.returncode:
        raise SandboxError(f"{command[0]} said: {said.stderr.strip()[-500:]}. {advice}")
    return said.stdout.strip()


def tell(command: list[str]) -> subprocess.CompletedProcess[str]:
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
