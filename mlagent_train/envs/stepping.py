"""One environment step as a function of a saved state and a reply.

States name everything they need from a store, so a step can run in any process that
sees the store: nothing is kept between steps but warm environments.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlagent_gym import RecordEpisode, parse

__all__ = ["GarbageError", "StepOutcome", "StepRequest", "StepResult", "Stepper", "step_key"]

Messages = list[dict[str, str]]
Info = dict[str, str | float | bool | None]


class GarbageError(RuntimeError):
    """An environment answered something that is no step."""


@dataclass(frozen=True)
class StepRequest:
    """What to do from where."""

    env_id: str
    """Gymnasium id."""
    reply: str | None
    """The policy's reply; None: only look at the state."""
    state: Mapping[str, Any] | None = None
    """Decoded JSON of a state; None: a new episode."""
    seed: int = 0
    """Seed of a new episode."""
    keep_state: bool = False
    """Save the state after the step and return it."""
    record: bool = False
    """Return the step's `Record`; a submission it graded is kept in the store."""


@dataclass(frozen=True)
class StepResult:
    """What came of it."""

    messages: Messages
    """The prompt after the step, as chat messages."""
    reward: float
    terminated: bool
    truncated: bool
    info: Info
    """The scalars of the environment's info."""
    state: Mapping[str, Any] | None
    """State after the step, when it was asked for."""
    record: str | None = None
    """The step as a line of a recording, when it was asked for."""


@dataclass(frozen=True)
class StepOutcome:
    """A step, or what became of it."""

    result: StepResult | None
    """None: the step was lost to machine faults."""
    fault: str = ""
    """``raised``, ``died``, ``timeout`` or ``garbage``, when it was lost."""
    detail: str = ""
    attempts: int = 1
    cached: bool = False
    queue_s: float = 0.0
    """Waiting for a worker."""
    env_s: float = 0.0
    """On workers, lost attempts included."""


class Stepper:
    """Runs steps one at a time; keeps the environments it made until it is closed.

    Parameters
    ----------
    kwargs
        Arguments of ``gymnasium.make`` for every environment.
    """

    def __init__(self, kwargs: Mapping[str, Any]):
        self._kwargs = {"observation": "messages", **kwargs}
        self._envs: dict[str, Any] = {}

    def run(self, request: StepRequest) -> StepResult:
        """Run one step.

        Raises
        ------
        GarbageError
            The environment's answer is not a step with a finite reward.
        Exception
            Whatever the environment raises; its environment is not used again.
        """
        try:
            return self._run(self._env(request.env_id), request)
        except BaseException:
            self._drop(request.env_id)
            raise

    def close(self) -> None:
        """Close the environments."""
        for env_id in list(self._envs):
            self._drop(env_id)

    def _run(self, env: Any, request: StepRequest) -> StepResult:
        if request.record:
            env = RecordEpisode(env, None)
        options = None if request.state is None else {"state": dict(request.state)}
        _, info = env.reset(seed=request.seed, options=options)
        answer = ("", 0.0, False, False, info)
        if request.reply is not None:
            answer = env.step(request.reply)
        result = _checked(request, answer, env.unwrapped if request.keep_state else None)
        recorded = env.record if request.record else None
        return replace(result, record=recorded.to_json()) if recorded else result

    def _env(self, env_id: str) -> Any:
        import gymnasium as gym

        if env_id not in self._envs:
            self._envs[env_id] = gym.make(env_id, disable_env_checker=True, **self._kwargs)
        return self._envs[env_id]

    def _drop(self, env_id: str) -> None:
        env = self._envs.pop(env_id, None)
        if env is not None:
            try:
                env.close()
            except Exception as error:  # it is being dropped because it is broken
                print(f"{time.strftime('%H:%M:%S')} closing {env_id}: {error!r}", flush=True)


def step_key(request: StepRequest) -> str:
    """Return a digest that is equal for requests that must have equal results.

    Replies count by the action they parse to, as prose around it changes nothing in a step;
    states without the wall-clock time they took to reach.
    """
    action = None if request.reply is None else repr(parse(request.reply))
    state = request.state and {k: v for k, v in request.state.items() if k != "elapsed_s"}
    content = [
        request.env_id,
        state,
        request.seed if state is None else 0,
        action,
        request.keep_state,
        request.record,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checked(request: StepRequest, answer: Any, env: Any) -> StepResult:
    """Return an environment's answer as a step; with its state, unless `env` is None."""
    try:
        _, reward, terminated, truncated, info = answer
        result = StepResult(
            messages=[{"role": m["role"], "content": m["content"]} for m in info["messages"]],
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=_scalars(info),
            state=None if env is None else json.loads(env.state().to_json()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbageError(f"{request.env_id} answered {answer!r:.200}: {error!r}") from error
    if not math.isfinite(result.reward):
        raise GarbageError(f"{request.env_id} gave the reward {reward}")
    return result


def _scalars(info: Mapping[str, Any]) -> Info:
    scalars = {
        key: value
        for key, value in info.items()
        if value is None or isinstance(value, (str, int, float, bool))
    }
    if (resources := info.get("resources")) is not None:
        scalars["seconds"] = float(resources.total_s)
        scalars["cpu_s"] = float(resources.cpu_s)
    return scalars
