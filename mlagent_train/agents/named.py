"""Agents by their name in a configuration or on a command line.

=====================  ============================================================
``scripted:no-op``     lists the workspace again and again
``scripted:random``    any valid action at random
``scripted:expert``    tries one to three ideas of the task's bank, keeps what helps
``scripted:greedy``    tries all of them
``scripted:propose``   proposes an idea that fits the script it is shown
``openai:<model>``     any OpenAI-compatible endpoint (OPENAI_BASE_URL, OPENAI_API_KEY)
``hf:<path>``          a checkpoint, on a GPU if there is one
``vllm:<path>``        a checkpoint, generated from with vLLM on a GPU
``vllm:<URL>``         the model of a server that `vllm serve` started
``run:<folder>``       the trained policy of a run folder
``<module>:<name>``    a function of one's own, from chat messages to a reply
=====================  ============================================================
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

from mlagent_train.agents.base import Agent, Messages, Reply, Sampling, Turn
from mlagent_train.agents.scripted import IdeasOf, scripted_agent
from mlagent_train.errors import ConfigError

__all__ = ["make_agent", "trained_model"]

Function = Callable[[Messages], str | Awaitable[str]]


def make_agent(
    spec: str,
    sampling: Sampling | None = None,
    *,
    at_once: int = 8,
    ideas: IdeasOf | None = None,
    ideas_per_trajectory: tuple[int, int] = (1, 3),
) -> Agent:
    """Return the agent of a name; see the table above.

    Parameters
    ----------
    spec
        The name.
    sampling
        Of models.
    at_once
        Most questions to an endpoint at the same time.
    ideas
        Returns what scripted agents may try on a task; by default its folder's ideas.
    ideas_per_trajectory
        Fewest and most of them that ``scripted:expert`` tries.

    Raises
    ------
    ConfigError
        There is no agent of this name.
    """
    sampling = sampling or Sampling()
    kind, _, name = spec.partition(":")
    if not name:
        raise ConfigError(
            f"{spec!r} names no policy. Known kinds: scripted, openai, hf, vllm, run, or "
            "module:function of one's own."
        )
    if kind == "scripted":
        return scripted_agent(name, ideas, ideas_per_trajectory)
    if kind == "openai":
        from mlagent_train.agents.endpoint import EndpointAgent

        return EndpointAgent(name, sampling, at_once)
    if kind == "vllm" and name.startswith(("http://", "https://")):
        from mlagent_train.agents.endpoint import EndpointAgent, served_model

        return EndpointAgent(served_model(name), sampling, at_once, base_url=name)
    if kind in ("hf", "vllm", "run"):
        from mlagent_train.agents.checkpoint import Checkpoint

        model = str(trained_model(Path(name))) if kind == "run" else name
        return Checkpoint(model, sampling, vllm=True if kind == "vllm" else None)
    return _Function(_imported(kind, name))


def trained_model(run: Path) -> Path:
    """Return the policy of a run folder: after PPO or, until there is one, after SFT.

    Raises
    ------
    ConfigError
        There is neither.
    """
    for name in ("checkpoint", "sft/model"):
        if (run / name).is_dir():
            return run / name
    raise ConfigError(f"{run} holds no policy: name a run folder of mlagent_train that has one.")


class _Function:
    """A user's own function."""

    def __init__(self, function: Function):
        self._function = function

    async def act(self, turn: Turn) -> Reply:
        if inspect.iscoroutinefunction(self._function):
            return Reply(await self._function(turn.messages))
        text = await asyncio.to_thread(self._function, turn.messages)
        assert isinstance(text, str), "a policy returns text"
        return Reply(text)


def _imported(module: str, name: str) -> Function:
    try:
        function: Function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"There is no policy {module}:{name} ({error}). Known kinds: scripted, openai, hf, "
            "vllm, run, or module:function of one's own."
        ) from error
    return function
