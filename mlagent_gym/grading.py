"""From the bytes of a submission to a score, trusting nothing about the bytes.

A submission is judged by us, outside the agent's process: it is bounded in size, must be
plain CSV with the header asked for, one row for each id of the answers in any order, and
values of the kind the task names. Whatever is wrong with it becomes a
:class:`~mlagent_gym.errors.SubmissionError` that says what and where, for the agent to
read. The rules follow MLE-bench and MLAgentBench; a task's own are in its ``task.toml``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mlagent_gym.errors import DataCorruptError, DataMissingError, SubmissionError, TaskError
from mlagent_gym.metrics import METRICS, Metric, Values
from mlagent_gym.submissions import (
    MOST_EXTRA_COLUMNS,
    Ids,
    check_values,
    positions_of,
    read_submission,
)
from mlagent_gym.tasks import Submission, Task, load_module

__all__ = ["Grade", "flag_of", "grade", "metric_of", "submission_limit_bytes"]

_CELL_BYTES = 32


@dataclass(frozen=True)
class Grade:
    """The score of a valid submission."""

    score: float
    """The task's metric on the hidden labels."""
    also: Mapping[str, float]
    """Further metrics the task reports, by name."""


@dataclass(frozen=True)
class _Answers:
    """True values in the submission's columns."""

    ids: Ids | None
    values: Values
    max_bytes: int


def metric_of(task: Task) -> Metric:
    """Return the metric a task is optimised for.

    Raises
    ------
    TaskError
        No metric has this name, or the folder's ``grade.py`` defines no ``METRIC``.
    """
    if task.metric != "grade.py":
        return _metric(task, task.metric)
    metric = getattr(load_module(task, "grade"), "METRIC", None)
    if not isinstance(metric, Metric):
        raise TaskError(f"{task.folder / 'grade.py'} must define METRIC, a metrics.Metric.")
    return metric


def grade(task: Task, answers: Path, submission: bytes) -> Grade:
    """Score a submission against the true values.

    Parameters
    ----------
    task
        Says which columns and values are valid and which metric counts.
    answers
        CSV file with the true values, in the columns of a submission.
    submission
        Content of the agent's ``submission.csv``.

    Raises
    ------
    SubmissionError
        The submission is not valid or has no score; the message is the reason.
    DataMissingError, DataCorruptError
        The answers cannot be read: a fault of the prepared data, not of the agent.
    """
    metric = metric_of(task)
    also = tuple(_metric(task, name) for name in task.also)
    truth = _answers(task.submission, answers)
    if len(submission) > truth.max_bytes:
        raise SubmissionError(
            f"The file has {len(submission):,} bytes; a submission for this task "
            f"has at most {truth.max_bytes:,}."
        )
    ids, values = read_submission(task.submission, submission)
    check_values(task.submission, ids, values)
    if len(values) != len(truth.values):
        raise SubmissionError(
            f"There are {len(values):,} rows; {len(truth.values):,} are expected, "
            "one for each row of the test set."
        )
    if ids is not None and truth.ids is not None:
        values = values[positions_of(truth.ids, ids, task.submission.id)]
    score = metric(truth.values, values)
    if not math.isfinite(score):
        raise SubmissionError(
            f"The {metric.title} of these predictions is undefined ({score}); "
            "are they all the same?"
        )
    return Grade(score, MappingProxyType({m.name: m(truth.values, values) for m in also}))


def flag_of(task: Task, variant: str, score: float) -> str:
    """Return what is suspicious about a score; empty if nothing is.

    Only the benchmark's own split of the real data may have a leak, whole or partial.
    """
    leak = task.leak if variant in ("real", "real-partial") else None
    if leak is None or not metric_of(task).better(score, leak.beyond):
        return ""
    return f"a score beyond {leak.beyond:g} on these data shows a leak: {leak.note}"


def submission_limit_bytes(task: Task, answers: Path) -> int:
    """Return the size above which a submission is refused unread."""
    return _answers(task.submission, answers).max_bytes


def _metric(task: Task, name: str) -> Metric:
    try:
        return METRICS[name]
    except KeyError:
        raise TaskError(
            f"{task.folder / 'task.toml'} names the metric {name!r}; known: {', '.join(METRICS)}."
        ) from None


def _answers(form: Submission, path: Path) -> _Answers:
    try:
        stat = path.stat()
    except OSError as error:
        raise DataMissingError(
            f"The answers {path} cannot be read: {error}. Prepare the data again."
        ) from error
    return _read_answers(form, path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=8)
def _read_answers(form: Submission, path: Path, mtime_ns: int, size: int) -> _Answers:
    try:
        ids, values = read_submission(form, path.read_bytes())
    except (SubmissionError, OSError) as error:
        raise DataCorruptError(
            f"The answers {path} are damaged: {error} Prepare the data again."
        ) from error
    columns = len(form.targets) + MOST_EXTRA_COLUMNS * form.extra_columns
    id_bytes = size // max(len(values), 1) if ids is not None else 0
    row_bytes = id_bytes + _CELL_BYTES * columns + (160 if form.cells == "ranking" else 0)
    values.flags.writeable = False
    return _Answers(ids, values, max_bytes=2 * size + row_bytes * len(values) + (64 << 10))
