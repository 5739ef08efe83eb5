"""One scored run of given files: how starters, references and ideas are judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from mlagent_gym.data import Prepared
from mlagent_gym.errors import TaskError
from mlagent_gym.executor import Executor, Limits, Run
from mlagent_gym.judging import judge
from mlagent_gym.sandbox.runtime import machine
from mlagent_gym.tasks import MAIN_SCRIPT, Edit, Idea, Task
from mlagent_gym.workspace import Workspace

__all__ = ["Trial", "apply_idea", "reseed", "run_limits", "try_files"]

_SHOWN_OUTPUT = 2000
_SEED = re.compile(r"^SEED = \d+$", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """A run and what it scored."""

    run: Run
    score: float | None
    """None when the run failed or its submission is not valid."""
    reason: str = ""
    """Why there is no score."""


def run_limits(task: Task) -> Limits:
    """Return what one run of a task's script may use, where the machine has as much."""
    limits = task.limits
    memory_mb = min(limits.memory_mb, machine.memory_mb())
    return Limits(wall_s=limits.wall_s, memory_mb=memory_mb, disk_mb=limits.disk_mb)


def try_files(
    task: Task, prepared: Prepared, executor: Executor, files: Mapping[str, bytes]
) -> Trial:
    """Run ``train.py`` out of some files in a fresh workspace and score its submission."""
    with closing(Workspace(prepared.public)) as workspace:
        for path, content in files.items():
            workspace.write(path, content)
        run = executor.run(MAIN_SCRIPT, workspace.path, prepared.public, run_limits(task))
        verdict = judge(task, prepared, workspace, run)
    said = "" if run.ok else f" It said:\n{run.output[-_SHOWN_OUTPUT:]}"
    return Trial(run, verdict.score, verdict.reason + said)


def apply_idea(files: Mapping[str, bytes], idea: Idea) -> dict[str, bytes]:
    """Return the files with an idea's edits made.

    Raises
    ------
    TaskError
        The script is not among the files, or a text to replace does not occur exactly once.
    """
    if idea.script not in files:
        raise TaskError(
            f"Idea {idea.name!r} edits {idea.script}, which is not there."
            " Name a file of the starter."
        )
    text = files[idea.script].decode("utf-8")
    for edit in idea.edits:
        text = _replace_once(text, edit, idea.name)
    return {**files, idea.script: text.encode("utf-8")}


def reseed(files: Mapping[str, bytes], seed: int) -> dict[str, bytes]:
    """Return the files with the line ``SEED = <number>`` of the main script set to a seed.

    Raises
    ------
    TaskError
        The script has no such line, or several.
    """
    text, n = _SEED.subn(f"SEED = {seed}", files[MAIN_SCRIPT].decode("utf-8"))
    if n != 1:
        raise TaskError(f"{MAIN_SCRIPT} must have one line 'SEED = <number>', not {n}.")
    return {**files, MAIN_SCRIPT: text.encode("utf-8")}


def _replace_once(text: str, edit: Edit, idea: str) -> str:
    if (times := text.count(edit.search)) != 1:
        raise TaskError(
            f"Idea {idea!r} searches for {edit.search[:60]!r}, which occurs {times} times "
            "instead of once."
            " Make its search unique."
        )
    return text.replace(edit.search, edit.replace)
