"""What a run came to: its submission is taken from the workspace and graded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlagent_gym.data import Prepared
from mlagent_gym.errors import SubmissionError, WorkspaceError
from mlagent_gym.executor import Run
from mlagent_gym.grading import flag_of, grade, submission_limit_bytes
from mlagent_gym.tasks import SUBMISSION, Task
from mlagent_gym.workspace import Workspace

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """The score of a run, or why it has none."""

    score: float | None
    reason: str = ""
    submission: bytes | None = field(default=None, repr=False)
    """What was graded."""
    also: Mapping[str, float] = field(default_factory=dict)
    """Further metrics the task reports, by name."""
    flag: str = ""
    """What is suspicious about the score, if anything is."""


def judge(task: Task, prepared: Prepared, workspace: Workspace, run: Run) -> Verdict:
    """Take the submission out of the workspace and grade it, if the run ended well.

    Whatever the verdict, the workspace has no submission afterwards, so that none is
    graded twice.

    Raises
    ------
    DataError
        The answers cannot be read.
    """
    answers = prepared.private / task.submission.answers
    try:
        submission = workspace.take(SUBMISSION, submission_limit_bytes(task, answers))
        if not run.ok:
            return Verdict(None, f"The script ended with status {run.status}.")
        if submission is None:
            return Verdict(None, f"The script wrote no {SUBMISSION}.")
        found = grade(task, answers, submission)
        flag = flag_of(task, prepared.variant, found.score)
        return Verdict(found.score, submission=submission, also=found.also, flag=flag)
    except (SubmissionError, WorkspaceError) as error:
        return Verdict(None, f"The {SUBMISSION} is not valid: {error}")
