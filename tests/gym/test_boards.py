from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.boards import load_board, medal_positions, standing
from mlagent_gym.errors import TaskError
from mlagent_gym.grading import metric_of
from mlagent_gym.metrics import METRICS
from mlagent_gym.tasks import Task, load_task, task_ids

SPOOKY = "spooky-author-identification"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task with ten entries on its board, 10 to 100, lower is better."""
    (tmp_path / "board.csv").write_text("score\n" + "\n".join(map(str, range(10, 101, 10))))
    return replace(load_task(SPOOKY), folder=tmp_path)


@pytest.mark.parametrize(
    ("score", "medal", "above_median", "percentile"),
    [
        (5, "gold", True, 100),
        (10, "gold", True, 100),
        (10.000004, "gold", True, 100),
        (10.1, "silver", True, 90),
        (20, "silver", True, 90),
        (40, "bronze", True, 70),
        (54, None, True, 50),
        (55, None, False, 50),
        (100, None, False, 10),
        (101, None, False, 0),
    ],
)
def test_a_score_stands_where_it_would_have_on_the_board(
    task: Task, score: float, medal: str | None, above_median: bool, percentile: float
) -> None:
    found = standing(task, score, METRICS["log_loss"])
    assert found is not None
    assert (found.medal, found.above_median, found.percentile) == (medal, above_median, percentile)
    assert (found.entries, found.comparable) == (10, False)


def test_on_a_board_where_higher_is_better_the_order_is_the_other_way_round(
    tmp_path: Path,
) -> None:
    (tmp_path / "board.csv").write_text("score\n0.9\n0.8\n0.8\n0.5\n")
    task = replace(load_task(SPOOKY), folder=tmp_path)
    found = standing(task, 0.8, METRICS["accuracy"])
    assert found is not None
    assert (found.medal, found.percentile, found.above_median) == (None, 75, False)


@pytest.mark.parametrize(
    ("entries", "positions"),
    [(50, (5, 10, 20)), (161, (10, 32, 64)), (527, (11, 50, 100)), (1241, (12, 62, 124))],
)
def test_medal_positions_are_those_of_known_boards(
    entries: int, positions: tuple[int, int, int]
) -> None:
    assert tuple(medal_positions(entries).values()) == positions


@given(st.integers(1, 10_000))
def test_better_medals_are_never_more_common(entries: int) -> None:
    gold, silver, bronze = medal_positions(entries).values()
    assert 1 <= gold <= silver <= bronze <= max(entries, 1)


def test_medal_thresholds_of_spooky_are_those_of_mle_bench() -> None:
    board = load_board(load_task(SPOOKY))
    thresholds = [board[position - 1] for position in medal_positions(len(board)).values()]
    assert thresholds == [0.16506, 0.26996, 0.29381]


def test_every_board_is_sorted_best_first_and_has_the_best_that_is_said_to_be_on_it() -> None:
    for name in task_ids():
        task, board = load_task(name), load_board(load_task(name))
        if not board:
            continue
        sign = metric_of(task).sign
        costs = [-sign * score for score in board]
        assert costs == sorted(costs), name
        assert task.best is not None, name
        if "board" in task.best.name:
            assert task.best.score in board, name


def test_a_task_without_a_board_has_no_standing(tmp_path: Path) -> None:
    task = replace(load_task(SPOOKY), folder=tmp_path)
    assert standing(task, 0.5, METRICS["log_loss"]) is None


@pytest.mark.parametrize("content", ["score\nhigh\n", "0.5\n0.4\n", "score\n"])
def test_a_spoiled_board_is_the_author_s_fault(tmp_path: Path, content: str) -> None:
    (tmp_path / "board.csv").write_text(content)
    with pytest.raises(TaskError, match=r"board\.csv"):
        load_board(replace(load_task(SPOOKY), folder=tmp_path))
