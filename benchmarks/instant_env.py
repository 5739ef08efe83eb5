"""An environment that costs nothing, or as many seconds as its state says, and can fail.

What the trainer's benchmarks step: whatever they measure is the trainer, not a task.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import gymnasium as gym

__all__ = ["ENV_ID", "InstantEnv", "InstantState", "fault_of", "reward_of"]

ENV_ID = "benchmarks.instant_env:Benchmark/instant-v0"
_FAULTS = ("raise", "die", "hang", "garbage")


@dataclass(frozen=True)
class InstantState:
    """The start of a sample."""

    number: int
    seconds: float = 0.0
    """How long a step takes."""
    steps: int = 1
    """After how many the episode ends."""
    step: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class InstantEnv(gym.Env[str, str]):
    """Rewards a reply by a digest of it.

    Parameters
    ----------
    fault_every
        One sample in so many fails, in the four ways a machine can by turns; 0: none.
    """

    def __init__(self, fault_every: int = 0, **_: Any):
        self._fault_every = fault_every
        self._state = InstantState(0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = InstantState(**(options or {}).get("state", {"number": 0}))
        return "", self._info()

    def step(self, action: str) -> Any:
        time.sleep(self._state.seconds)
        fault = fault_of(self._state.number, self._fault_every)
        if fault == "raise":
            raise RuntimeError("broken on purpose")
        if fault == "die":
            os._exit(9)
        if fault == "hang":
            time.sleep(3600)
        if fault == "garbage":
            return "", float("nan"), False, False, self._info()
        self._state = replace(self._state, step=self._state.step + 1)
        over = self._state.step >= self._state.steps
        return "", reward_of(action), over, False, self._info()

    def state(self) -> InstantState:
        return self._state

    def _info(self) -> dict[str, Any]:
        return {
            "valid": True,
            "outcome": "scored",
            "gain": 0.0,
            "relative_gain": 0.0,
            "action": "Edit Script",
            "messages": [{"role": "user", "content": f"Step {self._state.step}. Next?"}],
        }


def reward_of(reply: str) -> float:
    """Return a number between 0 and 1 that only depends on the reply."""
    return int(hashlib.sha256(reply.encode()).hexdigest()[:8], 16) / 2**32


def fault_of(number: int, every: int) -> str:
    """Return how the sample with this number fails when one in `every` does; empty: it does not."""
    if every == 0 or number % every:
        return ""
    return _FAULTS[number // every % len(_FAULTS)]


gym.register("Benchmark/instant-v0", entry_point="benchmarks.instant_env:InstantEnv")
