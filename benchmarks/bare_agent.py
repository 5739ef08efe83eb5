"""`benchmarks.instant_env` as an agent of OpenRLHF's own kind, without anything of the project's.

OpenRLHF's executor calls it inside the rollout engine's process.
"""

from __future__ import annotations

from typing import Any

import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

from benchmarks.instant_env import reward_of

__all__ = ["AgentExecutor"]


class _Instant(AgentInstanceBase):  # type: ignore[misc]
    def __init__(self) -> None:
        pass

    async def step(self, state_dict: dict[str, Any], **_: Any) -> dict[str, Any]:
        reward = torch.tensor(reward_of(state_dict["action_text"]))
        return {"rewards": reward, "scores": reward, "environment_feedback": "", "done": True}


class AgentExecutor(MultiTurnAgentExecutor):  # type: ignore[misc]
    """One reply, one instant step."""

    def __init__(self) -> None:
        super().__init__(_Instant)
