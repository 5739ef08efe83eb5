"""A control: the tasks with rewards that have nothing to do with the action.

Each step's reward is drawn from the rewards that another run's steps earned, so its
distribution is the same and there is nothing to learn. The scripts are not run.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gymnasium as gym

from mlagent_gym import Outcome, parse, task_ids
from mlagent_gym.env import MLAgentEnv
from mlagent_train.files import read_jsonl

__all__ = ["ShuffledReward", "make"]


class ShuffledReward(gym.Wrapper[str, str, str, str]):
    """Ends after one step with a drawn reward.

    Parameters
    ----------
    env
        The task's environment.
    rewards
        What is drawn from.
    """

    def __init__(self, env: gym.Env[str, str], rewards: list[float]):
        super().__init__(env)
        self._rewards = rewards
        self._random = random.Random()  # from the system: equal steps must differ
        self._last: tuple[str, dict[str, Any]] = "", {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Go to the start state."""
        self._last = self.env.reset(seed=seed, options=options)
        return self._last

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Return a drawn reward, and the state as it was."""
        observation, info = self._last
        valid = parse(action, editor=False).name != "Invalid"
        outcome = Outcome.NON_EDIT if valid else Outcome.INVALID
        info = {**info, "valid": valid, "outcome": outcome, "gain": 0.0}
        return observation, self._random.choice(self._rewards), True, False, info


def make(task_id: str, rewards: str, **kwargs: Any) -> ShuffledReward:
    """Make the environment of a task; `rewards` is the record of another run's steps."""
    drawn = [row["reward"] for row in read_jsonl(Path(rewards)) if row["reward"] is not None]
    env: Any = MLAgentEnv(task_id, **kwargs)
    return ShuffledReward(env, drawn)


for _task_id in task_ids():
    gym.register(
        id=f"Shuffled/{_task_id}-v0",
        entry_point="benchmarks.learning.shuffled:make",
        kwargs={"task_id": _task_id},
    )
del _task_id
