from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym import data
from mlagent_gym.baselines import baseline, load_scores, scripts_digest
from mlagent_gym.data import Prepared
from mlagent_gym.errors import DataCorruptError, TaskError
from mlagent_gym.executor import FakeExecutor, Run, RunStatus
from mlagent_gym.tasks import KnownScore, Task, load_task

STARTER_ERROR, REFERENCE_ERROR = 5.0, 1.0


def _answers_off_by(error: float, workspace: Path, folder: Path) -> None:
    with (folder / "private" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['Id']},{float(row['SalePrice']) + error}" for row in rows]
    (workspace / "submission.csv").write_text("\n".join(["Id,SalePrice", *lines]) + "\n")


@pytest.fixture
def executor(task: Task) -> FakeExecutor:
    """Runs nothing: the starter is off by 5 dollars, whatever else by 1."""
    starter = task.starter_files()["train.py"].decode()

    def answer(script: str, workspace: Path, public: Path) -> Run:
        is_starter = (workspace / script).read_text() == starter
        error = STARTER_ERROR if is_starter else REFERENCE_ERROR
        _answers_off_by(error, workspace, public.parent)
        return Run(RunStatus.OK, "")

    return FakeExecutor(answer)


@pytest.fixture
def task() -> Task:
    return load_task("house-price")


@pytest.fixture
def prepared(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Data that no scores.json knows."""
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path))
    return data.synthetic(task, size=41)


def test_scores_on_the_default_data_come_with_the_task(task: Task, executor: FakeExecutor) -> None:
    default = data.synthetic(task)
    frozen = load_scores(task).get(default.fingerprint)
    if frozen is None:
        pytest.skip("the default data differ from the measured ones on this platform")
    found = baseline(task, default, executor)
    assert executor.calls == []
    assert (found.origin, found.best_origin) == ("frozen", "reference solution")
    assert (found.m_init, found.m_best) == (frozen.starter.score, frozen.reference.score)
    assert found.m_init_spread == frozen.starter.spread


def test_scores_on_other_data_are_measured_once(
    task: Task, prepared: Prepared, executor: FakeExecutor
) -> None:
    found = baseline(task, prepared, executor)
    assert (found.m_init, found.m_best) == (STARTER_ERROR, REFERENCE_ERROR)
    assert (found.origin, found.m_init_spread) == ("measured", None)
    assert len(executor.calls) == 2
    assert baseline(task, prepared, executor) == found
    assert len(executor.calls) == 2


def test_other_scripts_are_measured_anew(
    task: Task, prepared: Prepared, executor: FakeExecutor, tmp_path: Path
) -> None:
    baseline(task, prepared, executor)
    folder = tmp_path / "changed"
    for part in ("starter", "reference"):
        (folder / part).mkdir(parents=True)
        (folder / part / "train.py").write_text("print('something else')\n")
    changed = replace(task, folder=folder)
    assert scripts_digest(changed) != scripts_digest(task)
    assert baseline(changed, prepared, executor).m_init == REFERENCE_ERROR
    assert len(executor.calls) == 4


def test_on_real_data_the_best_known_score_is_the_best(
    task: Task, prepared: Prepared, executor: FakeExecutor
) -> None:
    real = replace(prepared, variant="real")
    found = baseline(task, real, executor)
    assert task.best is not None
    assert (found.m_best, found.best_origin) == (task.best.score, task.best.name)
    assert len(executor.calls) == 1


@pytest.mark.parametrize("variant", ["real-partial", "real-by-text"])
def test_on_partial_data_and_other_splits_the_reference_is_the_best_as_no_published_score_compares(
    task: Task, prepared: Prepared, executor: FakeExecutor, variant: str
) -> None:
    found = baseline(task, replace(prepared, variant=variant), executor)
    assert (found.m_best, found.best_origin) == (REFERENCE_ERROR, "reference solution")


def test_a_best_that_was_not_measured_before_is_measured_when_it_is_needed(
    task: Task, prepared: Prepared, executor: FakeExecutor
) -> None:
    baseline(task, replace(prepared, variant="real"), executor)
    assert baseline(task, prepared, executor).m_best == REFERENCE_ERROR


def test_a_starter_that_fails_is_the_fault_of_the_task(task: Task, prepared: Prepared) -> None:
    broken = FakeExecutor([Run(RunStatus.ERROR, "ZeroDivisionError: oh", exit_code=1)])
    with pytest.raises(TaskError, match=r"(?s)starter of house-price .*ZeroDivisionError: oh"):
        baseline(task, prepared, broken)


def test_damaged_files_are_named(
    task: Task, prepared: Prepared, executor: FakeExecutor, tmp_path: Path
) -> None:
    baseline(task, prepared, executor)
    kept = next(prepared.folder.glob("baseline-*.json"))
    kept.write_text("{")
    with pytest.raises(DataCorruptError, match=re.escape(str(kept))):
        baseline(task, prepared, executor)
    (tmp_path / "scores.json").write_text(json.dumps([{"variant": "synthetic"}]))
    with pytest.raises(TaskError, match="mlagent measure house-price"):
        load_scores(replace(task, folder=tmp_path))


def test_a_task_that_was_never_measured_has_no_scores(task: Task, tmp_path: Path) -> None:
    assert load_scores(replace(task, folder=tmp_path)) == {}


def test_scores_of_both_variants_stand_side_by_side(task: Task) -> None:
    by_variant = {scores.variant: scores for scores in load_scores(task).values()}
    assert set(by_variant) == {"synthetic", "real"}
    assert by_variant["real"].oracle is None
    assert by_variant["synthetic"].oracle is not None


def test_a_published_best_says_what_it_is(task: Task) -> None:
    assert isinstance(task.best, KnownScore)
    assert task.best.source
