"""What acts in a benchmark, by its name on the command line: `mlagent_train.agents.named`."""

from __future__ import annotations

from mlagent_train.agents import Agent, Reply, Sampling, Turn
from mlagent_train.agents import make_agent as _make_agent

__all__ = ["Agent", "Reply", "Turn", "make_agent"]


def make_agent(
    spec: str, *, temperature: float = 0.6, max_new_tokens: int = 2048, at_once: int = 8
) -> Agent:
    """Return the agent of a name; raises `ConfigError` if there is none."""
    return _make_agent(spec, Sampling(temperature=temperature, max_new_tokens=max_new_tokens))
