from __future__ import annotations

from pathlib import Path

import pytest

from mlagent_gym import data
from mlagent_gym.errors import TaskError
from mlagent_gym.executor import FakeExecutor, Run, RunStatus
from mlagent_gym.tasks import Edit, Idea, load_task
from mlagent_gym.trials import apply_idea, reseed, run_limits, try_files

FILES = {"train.py": b"SEED = 0\nDEPTH = 3\nTREES = 10\n", "notes.txt": b"x"}


def _idea(*edits: tuple[str, str], script: str = "train.py") -> Idea:
    return Idea("try", "Try it.", tuple(Edit(*edit) for edit in edits), script)


def test_an_idea_changes_its_script_and_nothing_else() -> None:
    edited = apply_idea(FILES, _idea(("DEPTH = 3", "DEPTH = 9"), ("DEPTH = 9", "DEPTH = 27")))
    assert edited == {"train.py": b"SEED = 0\nDEPTH = 27\nTREES = 10\n", "notes.txt": b"x"}
    assert FILES["train.py"].count(b"DEPTH = 3") == 1


@pytest.mark.parametrize(
    ("idea", "reason"),
    [
        (_idea(("WIDTH", "")), "occurs 0 times"),
        (_idea((" = ", "=")), "occurs 3 times"),
        (_idea(("SEED", ""), script="model.py"), "edits model.py, which is not there"),
    ],
)
def test_an_idea_must_find_its_place_exactly_once(idea: Idea, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        apply_idea(FILES, idea)


def test_a_seed_is_set_in_its_one_line() -> None:
    assert reseed(FILES, 7)["train.py"].startswith(b"SEED = 7\nDEPTH")
    for script in (b"DEPTH = 3\n", b"SEED = 0\nSEED = 1\n", b"    SEED = 0\n"):
        with pytest.raises(TaskError, match="one line"):
            reseed({"train.py": script}, 7)


def test_a_trial_runs_in_a_workspace_of_its_own_and_says_what_went_wrong(tmp_path: Path) -> None:
    task = load_task("house-price")
    prepared = data.synthetic(task, size=43)
    seen = []

    def answer(script: str, workspace: Path, public: Path) -> Run:
        seen.append(sorted(path.name for path in workspace.iterdir()))
        if len(seen) == 1:
            answers = (public.parent / "private" / "answers.csv").read_bytes()
            (workspace / "submission.csv").write_bytes(answers)
        return Run(RunStatus.OK if len(seen) < 3 else RunStatus.ERROR, "Traceback: oh dear")

    executor = FakeExecutor(answer)
    first, second, third = (try_files(task, prepared, executor, FILES) for _ in range(3))
    assert seen == [["notes.txt", "train.py"]] * 3
    assert (first.score, first.reason) == (0.0, "")
    assert second.score is None and "submission.csv" in second.reason
    assert third.score is None and "oh dear" in third.reason


def test_the_limits_of_a_run_are_the_task_s() -> None:
    task = load_task("house-price")
    limits = run_limits(task)
    assert (limits.wall_s, limits.memory_mb) == (task.limits.wall_s, task.limits.memory_mb)
