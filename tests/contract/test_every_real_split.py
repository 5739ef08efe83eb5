"""The real data of every task whose raw files are at hand, split as the benchmark does.

The environment variable MLAGENT_RAW_DATA names a folder with one folder for each Kaggle
competition, by its slug, or for each task, by its id.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from mlagent_gym import data
from mlagent_gym.data import Prepared
from mlagent_gym.errors import DataCorruptError, DataMissingError, SubmissionError
from mlagent_gym.grading import grade, metric_of
from mlagent_gym.raw import file_digest
from mlagent_gym.tasks import Task, load_task, task_ids

pytestmark = pytest.mark.realdata


def _raw_folder(task: Task) -> Path:
    root = os.environ.get("MLAGENT_RAW_DATA")
    if not root:
        pytest.skip("MLAGENT_RAW_DATA names no folder of raw files")
    for name in filter(None, (task.id, task.download.kaggle)):
        if (Path(root) / name).is_dir():
            return Path(root) / name
    pytest.skip(f"{root} has no raw files of {task.id}")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in task_ids()],
)
def real(request: pytest.FixtureRequest) -> tuple[Task, Prepared]:
    """Return a task and its real data: the complete ones, or what can be made of some."""
    task = load_task(request.param)
    raw = _raw_folder(task)
    try:
        return task, data.prepare_real(task, raw)
    except (DataMissingError, DataCorruptError) as incomplete:
        try:
            prepared = data.prepare_real(task, raw, partial=True)
        except DataMissingError:
            pytest.skip(f"not enough raw files: {incomplete}")
        assert data.is_partial(prepared.variant)
        return task, prepared


def _score(task: Task, prepared: Prepared, submission: Path) -> float:
    answers = prepared.private / task.submission.answers
    return grade(task, answers, submission.read_bytes()).score


def test_complete_files_are_those_of_the_benchmark(real: tuple[Task, Prepared]) -> None:
    task, prepared = real
    assert task.checksums or task.rows, "nothing says what the split must be"
    data.verify(prepared)
    if not data.is_partial(prepared.variant):
        return  # checksums and row counts were compared when the data were prepared
    complete = {name for name, rows in task.rows.items() if _rows(prepared, name) == rows}
    for name in complete & set(task.checksums):
        assert file_digest(prepared.folder / name, "md5") == task.checksums[name], name
    if not complete:
        pytest.skip("only a part of the raw files is here")


def _rows(prepared: Prepared, name: str) -> int:
    return len(pd.read_csv(prepared.folder / name, usecols=[0]))


def test_real_and_synthetic_files_have_the_same_names_and_columns(
    real: tuple[Task, Prepared],
) -> None:
    task, prepared = real
    for name, columns in task.columns.items():
        header = (prepared.folder / name).read_text(encoding="utf-8").partition("\n")[0]
        assert header.replace('"', "").strip().split(",") == list(columns), name


def test_real_answers_score_perfect_and_the_sample_as_published(
    real: tuple[Task, Prepared],
) -> None:
    task, prepared = real
    metric = metric_of(task)
    answers = prepared.private / task.submission.answers
    try:
        assert _score(task, prepared, answers) == pytest.approx(metric.perfect, abs=1e-9)
        score = _score(task, prepared, prepared.public / task.submission.sample)
    except SubmissionError as error:
        assert "undefined" in str(error)
        return
    assert metric.better(metric.perfect, score)
    published = [known.score for known in task.known if known.name == "sample submission"]
    if published and not data.is_partial(prepared.variant):
        assert score == pytest.approx(published[0], abs=1e-5)
