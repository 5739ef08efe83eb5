"""The project's agent, which also says when it had its last reply: for `benchmarks.rollouts`."""

from __future__ import annotations

import time
from typing import Any

from mlagent_train.rlhf import agent

__all__ = ["AgentExecutor"]


class AgentExecutor(agent.AgentExecutor):
    """Adds ``replied_at`` (seconds since the epoch) to the logs of each sample."""

    async def execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the sample as the project's agent does."""
        engine = _Timed(kwargs.pop("llm_engine"))
        sample = await super().execute(*args, llm_engine=engine, **kwargs)
        return {**sample, "extra_logs": {**sample["extra_logs"], "replied_at": engine.replied_at}}


class _Timed:
    def __init__(self, engine: Any):
        self._engine = engine
        self.replied_at = 0.0

    async def generate(self, *args: Any, **kwargs: Any) -> Any:
        output = await self._engine.generate(*args, **kwargs)
        self.replied_at = time.time()
        return output
