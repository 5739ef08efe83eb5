"""Replay: carry out recorded steps again, or only grade them again, and tell what differs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from mlagent_gym import data, grading
from mlagent_gym.errors import RecordError, SubmissionError
from mlagent_gym.recording import make_recorded
from mlagent_gym.records import Record, read_records
from mlagent_gym.store import Store, digest_of
from mlagent_gym.tasks import load_task

__all__ = ["Compared", "Difference", "prepared_of", "regrade", "replay"]

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """One value that is not what was recorded."""

    field: str
    recorded: Any
    now: Any
    matters: bool
    """Whether it is part of the result. Texts are not: a script may print the time."""


@dataclass(frozen=True)
class Compared:
    """A recorded step beside what came of it now."""

    record: Record
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether the results are the recorded ones."""
        return not any(difference.matters for difference in self.differences)


def replay(path: str | os.PathLike[str], **kwargs: Any) -> Iterator[Compared]:
    """Carry out every step of a recording again, each from the state it started from.

    Parameters
    ----------
    path
        A file of records.
    **kwargs
        Arguments of the environments, instead of the recorded ones: the ``store`` the
        episodes were recorded with, another ``executor``, ...

    Raises
    ------
    RecordError
        A line is not a record.
    StoreError
        The store does not have a state's files.
    """
    with ExitStack() as stack:
        envs: dict[str, Any] = {}
        for record in read_records(path):
            name = repr(record.env)
            if name not in envs:
                envs[name] = stack.enter_context(closing(make_recorded(record, None, **kwargs)))
            env = envs[name]
            env.reset(options={"state": record.state})
            observation, reward, terminated, truncated, info = env.step(record.reply)
            info |= {"reward": reward, "terminated": terminated, "truncated": truncated}
            yield Compared(record, tuple(_differences(record, info, observation)))


def regrade(path: str | os.PathLike[str], store: Store) -> Iterator[Compared]:
    """Grade the submissions of a recording again, without running anything.

    Steps that were not graded are left out.

    Parameters
    ----------
    path
        A file of records.
    store
        The store the episodes were recorded with.

    Raises
    ------
    RecordError
        A line is not a record, or its data cannot be made again.
    StoreError
        The store does not have a submission.
    """
    for record in read_records(path):
        if record.submission is None:
            continue
        task, prepared = load_task(record.state.task), prepared_of(record)
        try:
            answers = prepared.private / task.submission.answers
            now = grading.grade(task, answers, store.get(record.submission)).score
        except SubmissionError as error:
            yield Compared(
                record, (Difference("score", record.next_state.score, str(error), True),)
            )
            continue
        yield Compared(record, tuple(_compare("score", record.next_state.score, now)))


def prepared_of(record: Record) -> data.Prepared:
    """Return the data a step was graded on; raises `RecordError` if those here are others."""
    task, kwargs, state = load_task(record.state.task), record.env["kwargs"], record.state
    prepared = data.of_variant(
        task, state.variant, seed=kwargs.get("data_seed", 0), size=kwargs.get("data_size")
    )
    if prepared.fingerprint != state.fingerprint:
        raise RecordError(
            f"The recorded scores are of other data ({state.fingerprint}) than those here "
            f"({prepared.fingerprint})."
            " Prepare the data they are of."
        )
    return prepared


def _differences(record: Record, now: dict[str, Any], observation: str) -> Iterator[Difference]:
    then = {**record.info, "reward": record.reward, "terminated": record.terminated}
    for field in ("action", "outcome", "run_status", "score", "best_score", "reward", "terminated"):
        yield from _compare(field, then.get(field), now[field])
    for field in ("feedback", "truncated_by"):
        yield from _compare(field, then.get(field), now[field], matters=False)
    prompt = digest_of(observation.encode("utf-8", "replace"))
    yield from _compare("next_prompt", record.next_prompt, prompt, matters=False)


def _compare(field: str, then: Any, now: Any, *, matters: bool = True) -> Iterator[Difference]:
    if isinstance(then, float) and isinstance(now, float):
        same = abs(then - now) <= _TOLERANCE * max(abs(then), abs(now), 1.0)
    else:
        same = then == now
    if not same:
        yield Difference(field, then, now, matters)
