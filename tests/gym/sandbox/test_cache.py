"""A known run is replayed whole, and never a wrong one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlagent_gym.executor import FakeExecutor, Limits, Run, RunStatus
from mlagent_gym.sandbox import CachingExecutor, make_executor
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=30)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("1,2")
    with closing(Workspace(tmp_path / "data", tmp_path)) as made:
        made.write("train.py", b"print(1)")
        made.write("old.txt", b"old")
        yield made


@pytest.fixture
def cached(tmp_path: Path) -> CachingExecutor:
    def answer(script: str, workspace: Path, data: Path) -> Run:
        (workspace / "submission.csv").write_text("id,y")
        (workspace / "made").mkdir(exist_ok=True)
        (workspace / "made/model").write_text("weights")
        (workspace / "old.txt").unlink(missing_ok=True)
        return Run(RunStatus.OK, "said", exit_code=0, cpu_s=1.5, queued_s=0.5)

    return CachingExecutor(FakeExecutor(answer), tmp_path / "cache")


def _run(executor: CachingExecutor, workspace: Workspace, **changes: int) -> Run:
    seed = changes.pop("seed", 0)
    limits = dataclasses.replace(LIMITS, **changes)
    data = workspace.path.parent / "input"
    return executor.run("train.py", workspace.path, data, limits, seed=seed)


def _again(workspace: Workspace) -> None:
    for path in ("submission.csv", "made"):
        workspace.remove(path)
    workspace.write("old.txt", b"old")


def test_a_known_run_is_replayed_with_its_files(
    cached: CachingExecutor, workspace: Workspace
) -> None:
    first = _run(cached, workspace)
    _again(workspace)
    second = _run(cached, workspace)
    assert (cached.hits, cached.misses) == (1, 1)
    assert not first.cached
    assert second == dataclasses.replace(first, cached=True, queued_s=0)  # it waited for nothing
    assert workspace.read("submission.csv") == b"id,y"
    assert workspace.read("made/model") == b"weights"
    assert not workspace.exists("old.txt")


@pytest.mark.parametrize("what", ["script", "other file", "data", "seed", "limits"])
def test_a_run_that_differs_in_anything_is_made(
    what: str, cached: CachingExecutor, workspace: Workspace, tmp_path: Path
) -> None:
    _run(cached, workspace)
    _again(workspace)
    if what == "script":
        workspace.write("train.py", b"print(2)")
    elif what == "other file":
        workspace.write("old.txt", b"new")
    elif what == "data":
        (tmp_path / "data/train.csv").write_text("1,3")
    _run(cached, workspace, seed=int(what == "seed"), memory_mb=1000 + (what == "limits"))
    assert cached.hits == 0


@pytest.mark.parametrize("part", ["runs", "blobs"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_entry_is_not_replayed(
    part: str, damage: str, cached: CachingExecutor, workspace: Workspace, tmp_path: Path
) -> None:
    _run(cached, workspace)
    _again(workspace)
    for path in (tmp_path / "cache" / part).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            path.chmod(0o600)
            if damage == "gone":
                path.unlink()
            else:
                path.write_bytes(content[:-1] if damage == "cut" else content.replace(b"i", b"j"))
    result = _run(cached, workspace)
    assert not result.cached
    assert result.output == "said"


def test_an_entry_cannot_be_given_another_runs_name(
    cached: CachingExecutor, workspace: Workspace, tmp_path: Path
) -> None:
    _run(cached, workspace)
    _again(workspace)
    (entry,) = (tmp_path / "cache/runs").iterdir()
    workspace.write("train.py", b"print(2)")
    _run(cached, workspace)
    _again(workspace)
    other = next(path for path in (tmp_path / "cache/runs").iterdir() if path != entry)
    other.write_bytes(entry.read_bytes())
    assert not _run(cached, workspace).cached


def test_runs_that_hit_a_limit_are_made_again(workspace: Workspace, tmp_path: Path) -> None:
    runs = [Run(RunStatus.TIMEOUT, "first"), Run(RunStatus.OK, "second")]
    executor = CachingExecutor(FakeExecutor(runs), tmp_path / "cache")
    assert [_run(executor, workspace).output for _ in range(3)] == ["first", "second", "second"]


def test_only_a_longer_wall_clock_limit_is_needed(workspace: Workspace, tmp_path: Path) -> None:
    runs = [Run(RunStatus.OK, "first", wall_s=20), Run(RunStatus.OK, "second", wall_s=5)]
    executor = CachingExecutor(FakeExecutor(runs), tmp_path / "cache")
    asked = [_run(executor, workspace, wall_s=limit) for limit in (30, 60, 10)]
    assert [run.output for run in asked] == ["first", "first", "second"]


def test_on_and_off_agree(workspace: Workspace, tmp_path: Path) -> None:
    workspace.write("train.py", b"import sys\nopen('out', 'w').write('x')\nprint(sys.argv)\n1 / 0")
    seen = []
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        with closing(make_executor("cold", cache=cache)) as executor:
            data = workspace.path.parent / "input"
            run = executor.run("train.py", workspace.path, data, LIMITS)
        seen.append((run.status, run.exit_code, run.output, workspace.read("out"), run.cached))
        workspace.remove("out")
    assert seen[0][:4] == seen[1][:4] == seen[2][:4]
    assert [row[4] for row in seen] == [False, False, True]
