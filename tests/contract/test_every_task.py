"""The contract of task folders, over every folder there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from mlagent_gym.contract import CHECKS, Bench, UncheckableError
from mlagent_gym.executor import Executor
from mlagent_gym.sandbox import make_executor
from mlagent_gym.tasks import load_task, task_ids


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with closing(make_executor("auto")) as executor:
        yield executor


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in task_ids()],
)
def bench(request: pytest.FixtureRequest, executor: Executor) -> Bench:
    return Bench(load_task(request.param), executor)


@pytest.mark.parametrize("check", CHECKS)
def test_a_task_folder_keeps_its_promise(bench: Bench, check: str) -> None:
    try:
        CHECKS[check](bench)
    except UncheckableError as reason:
        pytest.skip(str(reason))
