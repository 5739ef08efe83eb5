"""From trajectory files to what the stages need: examples, start states, statistics."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mlagent_train.files import read_jsonl

__all__ = ["EpisodeStats", "draw_states", "episode_stats", "read_trajectories", "start_states"]

Row = dict[str, Any]


def read_trajectories(folder: Path) -> Iterator[list[Row]]:
    """Yield the steps of each trajectory, in the order of the files' names."""
    for path in sorted(folder.glob("*.jsonl")):
        yield list(read_jsonl(path))


def start_states(trajectories: Iterable[list[Row]]) -> list[Row]:
    """Return the state that each step started from, with its task and prompt.

    A state that several trajectories passed through is there several times, so that
    states are drawn as often as the expert met them.
    """
    keys = ("task", "env_id", "seed", "state", "messages")
    return [{key: row[key] for key in keys} for trajectory in trajectories for row in trajectory]


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
