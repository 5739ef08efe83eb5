"""What an agent is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Agent", "Messages", "Reply", "Sampling", "Turn"]

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Turn:
    """What an agent is asked."""

    task: str
    seed: int
    messages: Messages
    info: Mapping[str, Any]
    past: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """(prompt, info) of the turns before, for agents that keep something in mind."""


@dataclass(frozen=True)
class Reply:
    """What it answers, and what that took."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """Dollars."""


@dataclass(frozen=True)
class Sampling:
    """How models generate; scripted policies need none of it."""

    temperature: float = 0.6
    top_p: float = 1.0
    max_new_tokens: int = 2048
    max_prompt_tokens: int = 0
    """Longer prompts lose their beginning; 0: whatever the model takes."""
    seed: int = 0
    engine_memory_share: float = 0.9
    """Share of a GPU's memory for the rollout engine."""
    tensor_parallel: int = 1
    """GPUs of the rollout engine."""


class Agent(Protocol):
    """Anything that answers turns, many at once."""

    async def act(self, turn: Turn) -> Reply:
        """Return the reply to a turn; raise if there is none to be had."""
        ...
