"""How a pool of environment workers is set up; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["POOL_NAME", "SLOT", "AgentSettings", "PoolSettings"]

POOL_NAME = "env-pool"
"""In the namespace of its job, which Ray makes for each: jobs may share a cluster."""
SLOT = "env_slot"
"""Ray resource a node offers for each step it can run at the same time."""


@dataclass(frozen=True)
class AgentSettings:
    """What the rollout engines' agents have to know; the pool hands it to them."""

    max_turns: int
    max_new_tokens: int
    neutral_reward: float
    """Reward of a step that was lost to machine faults."""
    samples_per_update: int
    first_update: int = 1
    """Update that this process starts with."""
    updates_ahead: int = 0
    """Updates generated for beyond the one that is evaluated: asynchronous PPO is ahead."""


@dataclass(frozen=True)
class PoolSettings:
    """How many workers, and how patient the pool is with them."""

    slots: int
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    cpus_per_slot: float = 1.0
    gpus_per_slot: float = 0.0
    memory_mb_per_slot: float = 0.0
    """0: any; otherwise a node takes no more workers than its memory is enough for."""
    step_timeout_s: float = 600.0
    start_timeout_s: float = 300.0
    retries: int = 2
    max_fault_share: float = 0.25
    fault_window: int = 64
    cache: bool = True
    record: str | None = None
    """JSONL file that every step is appended to; its steps are remembered after a restart."""
    agent: AgentSettings | None = None
