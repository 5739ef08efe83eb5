"""What users need to test their own code against the gym, and the gym against their attacks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from mlagent_gym import data
from mlagent_gym.errors import WorkspaceError
from mlagent_gym.executor import Executor, FakeExecutor, Limits, Run
from mlagent_gym.judging import judge
from mlagent_gym.sandbox import make_executor
from mlagent_gym.tasks import MAIN_SCRIPT, load_task, task_ids
from mlagent_gym.workspace import Workspace

__all__ = ["AttackReport", "FakeExecutor", "attack"]

_LIMITS = Limits(wall_s=30, memory_mb=1024, processes=64, disk_mb=128, files=5000)


@dataclass(frozen=True)
class AttackReport:
    """What came of an attack, as an environment would see it."""

    run: Run
    """Status, what stopped it and why, output, and what it used."""
    files: Mapping[str, bytes]
    """The workspace as a state would keep it, by path."""
    score: float | None
    """What the submission scored; None if there is no score."""
    verdict: str
    """Why there is no score; empty if there is one."""


def attack(
    script: str,
    *,
    files: Mapping[str, bytes] | None = None,
    limits: Limits = _LIMITS,
    executor: Executor | str = "auto",
    task: str | None = None,
) -> AttackReport:
    """Run a hostile script as an environment would, and treat what it leaves as one would.

    The script is ``train.py`` of a fresh workspace, sees a task's synthetic data as
    ``../input``, and may leave a ``submission.csv`` to be graded.

    Parameters
    ----------
    script
        Source of the script.
    files
        Further files of the workspace, by path.
    limits
        What the run may use.
    executor
        What runs the script: an `Executor`, or a name for `make_executor`.
    task
        Whose data and grading; None: the first task there is.

    Raises
    ------
    SandboxError
        The script could not be run as promised.
    """
    chosen = load_task(task_ids()[0] if task is None else task)
    prepared = data.synthetic(chosen)
    runner = make_executor(executor) if isinstance(executor, str) else executor
    kept: dict[str, bytes] = {}

    def keep(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        kept[digest] = content
        return digest

    try:
        with closing(Workspace(prepared.public)) as workspace:
            for path, content in (files or {}).items():
                workspace.write(path, content)
            workspace.write(MAIN_SCRIPT, script.encode())
            run = runner.run(MAIN_SCRIPT, workspace.path, prepared.public, limits)
            verdict = judge(chosen, prepared, workspace, run)
            try:
                snapshot = workspace.snapshot(keep)
            except WorkspaceError as error:
                return AttackReport(run, {}, None, str(error))
            left = {path: kept[digest] for path, digest in snapshot.items()}
            return AttackReport(run, left, verdict.score, verdict.reason)
    finally:
        if isinstance(executor, str):
            runner.close()
