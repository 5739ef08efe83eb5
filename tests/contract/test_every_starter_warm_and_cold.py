"""Every task's starter says, writes and scores the same, warm and cold."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import closing

import pytest

from mlagent_gym import data
from mlagent_gym.executor import Executor
from mlagent_gym.judging import judge
from mlagent_gym.sandbox import make_executor
from mlagent_gym.tasks import MAIN_SCRIPT, SUBMISSION, load_task, task_ids
from mlagent_gym.trials import run_limits
from mlagent_gym.workspace import Workspace


@pytest.fixture(scope="module")
def executors() -> Iterator[list[Executor]]:
    made = [make_executor("warm"), make_executor("cold")]
    yield made
    for executor in made:
        executor.close()


@pytest.mark.parametrize("task_id", task_ids())
def test_a_starter_does_the_same_warm_and_cold(task_id: str, executors: list[Executor]) -> None:
    task = load_task(task_id)
    for package in task.requires:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{task_id} needs {package}")
    prepared = data.synthetic(task)
    seen = []
    for executor in executors:
        with closing(Workspace(prepared.public)) as workspace:
            for path, content in task.starter_files().items():
                workspace.write(path, content)
            run = executor.run(MAIN_SCRIPT, workspace.path, prepared.public, run_limits(task))
            assert run.ok, run
            submission = workspace.read(SUBMISSION, 2**26)
            verdict = judge(task, prepared, workspace, run)
        seen.append((run.output, submission, verdict.score))
    assert seen[0] == seen[1]
