"""Where a score would stand on the task's Kaggle board: medal, median and percentile.

A board is the file ``board.csv`` of a task folder: the scores of the private leaderboard,
one a line, best first. Medals follow the rules of MLE-bench (``grade_helpers.py``), the
percentile the position score of MLE-Dojo. Most benchmarks hold their own test set out of
Kaggle's training data, so a standing is indicative: `Standing.comparable` says so.
"""

from __future__ import annotations

import bisect
import statistics
from dataclasses import dataclass
from typing import Literal

from mlagent_gym.errors import TaskError
from mlagent_gym.metrics import Metric
from mlagent_gym.tasks import Task

__all__ = ["Medal", "Standing", "load_board", "medal_positions", "standing"]

Medal = Literal["gold", "silver", "bronze"]


@dataclass(frozen=True)
class Standing:
    """A score among the entries of a board."""

    medal: Medal | None
    above_median: bool
    """Strictly better than the median entry."""
    percentile: float
    """Share of entries, in percent, that are no better; ties count for the score."""
    entries: int
    comparable: bool
    """Whether the board was scored on the same test set."""


def standing(task: Task, score: float, metric: Metric) -> Standing | None:
    """Return where a score on real data stands, or None if the task has no board.

    The score is rounded to five decimals first, as MLE-bench does.
    """
    board = load_board(task)
    if not board:
        return None
    score = round(score, 5)
    # Seen from the best down, values grow: lower is then always better.
    costs = [-metric.sign * entry for entry in board]
    cost = -metric.sign * score
    medal: Medal | None = None
    for name, position in reversed(list(medal_positions(len(board)).items())):
        if cost <= costs[position - 1]:
            medal = name
    better = bisect.bisect_left(costs, cost)
    return Standing(
        medal=medal,
        above_median=cost < statistics.median(costs),
        percentile=100 * (len(board) - better) / len(board),
        entries=len(board),
        comparable=task.board_is_comparable,
    )


def load_board(task: Task) -> tuple[float, ...]:
    """Read a task's board, best score first; empty if it has none.

    Raises
    ------
    TaskError
        ``board.csv`` is not a column of numbers under the header ``score``.
    """
    path = task.folder / "board.csv"
    if not path.is_file():
        return ()
    header, *lines = path.read_text(encoding="utf-8").split()
    try:
        scores = tuple(map(float, lines))
    except ValueError as error:
        raise TaskError(f"{path} must hold one number a line: {error}.") from error
    if header != "score" or not scores:
        raise TaskError(f"{path} must hold numbers under the header 'score'.")
    return scores


def medal_positions(entries: int) -> dict[Medal, int]:
    """Return the last position, from 1, that wins each medal on a board of some size."""
    if entries < 100:
        shares = {"gold": entries // 10, "silver": entries // 5, "bronze": entries * 2 // 5}
    elif entries < 250:
        shares = {"gold": 10, "silver": entries // 5, "bronze": entries * 2 // 5}
    elif entries < 1000:
        shares = {"gold": 10 + entries // 500, "silver": 50, "bronze": 100}
    else:
        shares = {"gold": 10 + entries // 500, "silver": entries // 20, "bronze": entries // 10}
    gold, silver, bronze = (max(1, position) for position in shares.values())
    return {"gold": gold, "silver": silver, "bronze": bronze}
