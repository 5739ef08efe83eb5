"""What a task's starter and the best known solution score: the two ends of its gain.

The scores on the default synthetic data are frozen in the task's ``scores.json``, which
``mlagent measure`` writes; they hold for data with the same fingerprint and for the same
scripts. For other data they are measured on first use and kept beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mlagent_gym.data import Prepared
from mlagent_gym.errors import DataCorruptError, TaskError
from mlagent_gym.executor import Executor
from mlagent_gym.tasks import Task
from mlagent_gym.trials import try_files

__all__ = [
    "Baseline",
    "Measured",
    "Scores",
    "baseline",
    "ideas_digest",
    "load_scores",
    "scripts_digest",
]


@dataclass(frozen=True)
class Baseline:
    """The ends of the scale on which progress on a task is measured."""

    m_init: float
    """Score of the starter as it is."""
    m_best: float
    """Score that counts as a gain of 1."""
    m_init_spread: float | None
    """Standard deviation of the starter's score over seeds; None: it ran once."""
    origin: Literal["frozen", "measured"]
    """Whether the scores come with the task or were measured on this machine."""
    best_origin: str
    """What `m_best` is the score of."""


@dataclass(frozen=True)
class Measured:
    """A measured score."""

    score: float
    cpu_s: float
    """Processor time of the run that was scored, on the machine that measured."""
    spread: float | None = None
    """Standard deviation over seeds."""
    scores: tuple[float, ...] = ()
    """Score per seed 0, 1, ..."""


@dataclass(frozen=True)
class Scores:
    """Everything ``mlagent measure`` finds out about one task on one set of data."""

    variant: str
    fingerprint: str
    """Digest of the data."""
    scripts: str
    """Digest of the starter and the reference."""
    starter: Measured
    reference: Measured
    oracle: float | None = None
    """Score of the process that made the data: no solution is better, up to chance."""
    ideas: Mapping[str, Measured] = field(default_factory=dict)
    """Starter with one idea, by the idea's name."""
    ideas_digest: str = ""
    """Digest of the ideas that were measured."""
    seed: int | None = None
    size: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Versions and date."""


def baseline(task: Task, prepared: Prepared, executor: Executor) -> Baseline:
    """Return the ends of a task's scale on some data, measuring them if they are not known.

    On the benchmark's own real data `m_best` is the best score known to the task; on any
    other it is the reference's.

    Raises
    ------
    TaskError
        The task's own starter or reference fails.
    SandboxError
        They could not be run.
    """
    known = task.best if prepared.variant == "real" else None
    frozen = load_scores(task).get(prepared.fingerprint)
    if frozen and frozen.scripts == scripts_digest(task):
        return Baseline(
            m_init=frozen.starter.score,
            m_best=known.score if known else frozen.reference.score,
            m_init_spread=frozen.starter.spread,
            origin="frozen",
            best_origin=known.name if known else "reference solution",
        )
    from filelock import FileLock

    # One process measures, the others wait for it.
    with FileLock(prepared.folder.with_name(f".{prepared.folder.name}.baseline.lock")):
        scores = _kept(task, prepared)
        if "m_init" not in scores or not (known or "m_best" in scores):
            scores = _measure(task, prepared, executor, with_best=not known)
    return Baseline(
        m_init=scores["m_init"],
        m_best=known.score if known else scores["m_best"],
        m_init_spread=None,
        origin="measured",
        best_origin=known.name if known else "reference solution",
    )


def load_scores(task: Task) -> dict[str, Scores]:
    """Read a task's ``scores.json``: measured scores by data fingerprint.

    Raises
    ------
    TaskError
        The file is not as ``mlagent measure`` writes it.
    """
    from pydantic import TypeAdapter, ValidationError

    path = task.folder / "scores.json"
    if not path.is_file():
        return {}
    try:
        records = TypeAdapter(list[Scores]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise TaskError(
            f"{path} is not as 'mlagent measure {task.id}' writes it: {error}. Run that again."
        ) from error
    return {record.fingerprint: record for record in records}


def scripts_digest(task: Task) -> str:
    """Return the digest of a task's starter and reference: other scripts, other scores."""
    total = hashlib.sha256()
    for files in (task.starter_files(), task.reference_files()):
        for name, content in sorted(files.items()):
            total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def ideas_digest(task: Task) -> str:
    """Return the digest of a task's ideas: other ideas, other scores."""
    return hashlib.sha256((task.folder / "ideas.toml").read_bytes()).hexdigest()[:16]


def _kept_path(task: Task, prepared: Prepared) -> Path:
    return prepared.folder / f"baseline-{scripts_digest(task)}.json"


def _kept(task: Task, prepared: Prepared) -> dict[str, float]:
    path = _kept_path(task, prepared)
    try:
        scores: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataCorruptError(f"{path} is damaged ({error}). Delete it.") from error
    return scores


def _measure(
    task: Task, prepared: Prepared, executor: Executor, *, with_best: bool
) -> dict[str, float]:
    scores = {"m_init": _score(task, prepared, executor, "starter")}
    if with_best:
        scores["m_best"] = _score(task, prepared, executor, "reference")
    path = _kept_path(task, prepared)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(scores) + "\n", encoding="utf-8")
    temporary.replace(path)
    return scores


def _score(
    task: Task, prepared: Prepared, executor: Executor, part: Literal["starter", "reference"]
) -> float:
    files = task.starter_files() if part == "starter" else task.reference_files()
    trial = try_files(task, prepared, executor, files)
    if trial.score is None:
        raise TaskError(
            f"The {part} of {task.id} has no score on its own data: {trial.reason}"
            f" Try `mlagent check {task.id}`."
        )
    return trial.score
