"""Runs that do not fit wait, executors in turns; those that never fit are refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from mlagent_gym.errors import CapacityError
from mlagent_gym.executor import Limits, Run
from mlagent_gym.sandbox import SandboxExecutor
from mlagent_gym.sandbox.broker_client import connect, join
from mlagent_gym.sandbox.runtime import wire
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=60, memory_mb=256)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def narrow() -> Iterator[SandboxExecutor]:
    """An executor for one run at a time."""
    with closing(SandboxExecutor("none", warm=False, cores=1)) as made:
        yield made


def _run(executor: SandboxExecutor, data: Path, code: str, limits: Limits = LIMITS) -> Run:
    with closing(Workspace(data)) as workspace:
        workspace.write("train.py", code.encode())
        return executor.run("train.py", workspace.path, data, limits)


def test_an_executor_with_many_runs_does_not_starve_another(data: Path) -> None:
    code = "import time; time.sleep(0.6); print(time.monotonic())"
    with (
        closing(SandboxExecutor("none", warm=False, cores=1, memory_mb=4097)) as many,
        closing(SandboxExecutor("none", warm=False, cores=1, memory_mb=4097)) as single,
        ThreadPoolExecutor(6) as threads,
    ):
        assert many.kind == single.kind
        _run(single, data, "pass")
        crowd = [threads.submit(_run, many, data, code) for _ in range(5)]
        while not any(job.running() for job in crowd):
            time.sleep(0.01)
        one = threads.submit(_run, single, data, code)
        ended = sorted(float(job.result().output) for job in crowd)
        alone = one.result()
        assert float(alone.output) < ended[3]
        waits = [job.result().queued_s for job in crowd]
    assert max(waits) > 0.9
    assert all(job.result().wall_s < 30 for job in crowd)


def test_one_that_stops_waiting_takes_no_turn(narrow: SandboxExecutor, data: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(_run, narrow, data, "import time; time.sleep(1)")
        lease = connect(narrow._spec)
        with closing(lease), join(lease) as gone, closing(Workspace(data)) as workspace:
            order = narrow._order("train.py", workspace.path, data, LIMITS, 0, workspace.path)
            asked = {"client": -1, "demand": asdict(narrow._demand(1)), "order": asdict(order)}
            wire.send(gone, asked)
        after = _run(narrow, data, "print('mine')")
    assert first.result().ok
    assert after.output == "mine\n"
    assert after.queued_s < 30


@pytest.mark.parametrize(
    ("limits", "said"),
    [(Limits(memory_mb=10**9), "1000000000 MB of memory, and there are")],
)
def test_a_run_larger_than_the_machine_is_refused(
    limits: Limits, said: str, narrow: SandboxExecutor, data: Path
) -> None:
    with pytest.raises(CapacityError, match=said):
        _run(narrow, data, "pass", limits)
    assert _run(narrow, data, "pass").ok


def test_more_threads_than_cores_are_refused(data: Path) -> None:
    with (
        closing(SandboxExecutor("none", warm=False, threads=3, cores=2)) as wide,
        pytest.raises(CapacityError, match="3 cores, and there are 2"),
    ):
        _run(wide, data, "pass")
