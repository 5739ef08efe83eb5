"""The seam between the environment and whatever runs scripts.

An `Executor` promises: the script sees its workspace as the working folder and the
data, read-only, as ``../input``; it sees nothing private; when `Executor.run` returns,
nothing the script started is alive. What a script does wrong is a `Run`; only the
machine's own failures raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["Executor", "FakeExecutor", "Limits", "Run", "RunStatus"]


class RunStatus(StrEnum):
    """How a run ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    DISK_LIMIT = "disk_limit"
    KILLED = "killed"


@dataclass(frozen=True)
class Limits:
    """What one run may use, counted over the whole tree of its processes."""

    wall_s: float = 300.0
    cpu_s: float | None = None
    """Processor time; None: wall_s times the cores there are."""
    memory_mb: int = 4096
    processes: int = 128
    """Processes and threads."""
    open_files: int = 1024
    disk_mb: int = 1024
    """Bytes the run may add to the workspace and its temp folder."""
    files: int = 10_000
    """Files the run may add."""
    output_kb: int = 1024
    """Output after which the run is stopped."""
    kept_output_kb: int = 32
    """Output kept: the first and the last half of it."""


@dataclass(frozen=True)
class Run:
    """One finished execution of a script."""

    status: RunStatus
    output: str
    """Standard output and error as they came, cut in the middle when long."""
    exit_code: int | None = None
    """None when a signal ended the script."""
    reason: str = ""
    """Why the run was stopped, or how it failed; empty when it is ok."""
    wall_s: float = 0.0
    queued_s: float = 0.0
    """Waited for its turn; not part of `wall_s`."""
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0
    """Of all processes together; memory that n processes share counts 1/n for each."""
    written_mb: float = 0.0
    sandbox: str = "none"
    """Level of confinement the run had."""
    cached: bool = False
    """Whether it was not run now, but an equal run before."""

    @property
    def ok(self) -> bool:
        """Whether the script ended by itself with exit status 0."""
        return self.status is RunStatus.OK


@runtime_checkable
class Executor(Protocol):
    """Anything that runs a script in a workspace."""

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Run a script to its end.

        Parameters
        ----------
        script
            Path of a Python file, relative to `workspace`.
        workspace
            Working folder of the script, the only place it may write to.
        data
            Folder the script sees read-only as ``../input``.
        limits
            What the run may use.
        seed
            Told to the script in ``MLAGENT_SEED``; strings hash alike in every run anyway.

        Raises
        ------
        SandboxError
            The script could not be run as promised. Nothing was learned about it.
        """
        ...

    def close(self) -> None:
        """Release what the executor holds; it can not be used afterwards."""
        ...


class FakeExecutor:
    """An executor that runs nothing: each run is answered by a function or a list of runs.

    Parameters
    ----------
    answers
        A function of (script, workspace, data) that may write files and returns the
        run, or runs to be given out in turn.
    """

    def __init__(self, answers: Callable[[str, Path, Path], Run] | list[Run]):
        self._answers = answers if callable(answers) else None
        self._queue: Iterator[Run] = iter(() if callable(answers) else answers)
        self.calls: list[Mapping[str, object]] = []

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Answer without running anything; the call is kept in `calls`."""
        self.calls.append({"script": script, "workspace": workspace, "seed": seed})
        if self._answers is not None:
            return self._answers(script, workspace, data)
        return next(self._queue)

    def close(self) -> None:
        """Do nothing: a fake holds nothing."""
