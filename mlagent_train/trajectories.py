"""From trajectory files to what the stages need: start states and statistics.

Trajectories are the gym's own recordings, which `mlagent replay` repeats, and the state pool
is the gym's pool.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mlagent_gym import StatePool
from mlagent_train.files import read_jsonl

__all__ = [
    "EpisodeStats",
    "Row",
    "draw_states",
    "episode_stats",
    "pooled_states",
    "read_trajectories",
]

Row = dict[str, Any]


def read_trajectories(folder: Path) -> Iterator[list[Row]]:
    """Yield the steps of each trajectory, in the order of the files' names.

    A step is a decoded record, with the ``task``, ``env_id`` and ``seed`` of its state beside.
    """
    for path in sorted(folder.glob("*.jsonl")):
        yield [{**row, **_of_state(row["state"], row["env"]["id"])} for row in read_jsonl(path)]


def pooled_states(pool: Path, env_id: Callable[[str], str]) -> Iterator[Row]:
    """Yield the states of a pool with their task, env_id, seed and messages.

    Parameters
    ----------
    pool
        File of a pool whose prompts were kept.
    env_id
        Returns the environment of a task.
    """
    for entry in StatePool(pool).entries():
        state = entry["state"]
        tags = _of_state(state, env_id(state["task"]))
        yield {**tags, "state": state, "messages": entry["messages"]}


def _of_state(state: Row, env_id: str) -> Row:
    return {"task": state["task"], "env_id": env_id, "seed": state["seed"]}


def draw_states(states: Sequence[Row], count: int, *, seed: int) -> list[Row]:
    """Draw start states evenly over tasks; a task's states come back after all had their turn."""
    rng = random.Random(seed)
    by_task: dict[str, list[Row]] = {}
    for state in states:
        by_task.setdefault(state["task"], []).append(state)
    turns = {task: _forever(rows, random.Random(rng.random())) for task, rows in by_task.items()}
    tasks = sorted(turns)
    return [next(turns[tasks[i % len(tasks)]]) for i in range(count)]


def _forever(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    while True:
        yield from rng.sample(rows, len(rows))


@dataclass(frozen=True)
class EpisodeStats:
    """Means over the episodes of a task (or of several)."""

    episodes: int
    reward: float
    """Mean over steps."""
    valid: float
    """Share of steps with a valid action."""
    improved: float
    """Share of steps whose run scored better than before."""
    relative_gain: float
    """Mean over episodes of the best score's relative gain; a fraction."""


def episode_stats(trajectories: Sequence[list[Row]]) -> EpisodeStats:
    """Return the means of some episodes; there is at least one."""
    steps = [row for trajectory in trajectories for row in trajectory]
    return EpisodeStats(
        episodes=len(trajectories),
        reward=fmean(row["reward"] for row in steps),
        valid=fmean(bool(row["info"]["valid"]) for row in steps),
        improved=fmean(row["info"]["gain"] > 0 for row in steps),
        relative_gain=fmean(trajectory[-1]["info"]["relative_gain"] for trajectory in trajectories),
    )
