"""The reward of `benchmarks.instant_env` as a function that OpenRLHF's own agent calls."""

from __future__ import annotations

from typing import Any

from benchmarks.instant_env import reward_of


def reward_func(queries: list[str], prompts: list[str], labels: list[str]) -> dict[str, Any]:
    """Return what OpenRLHF expects for one query; its text is the prompt and the reply."""
    reward = reward_of(queries[0][len(prompts[0]) :])
    return {"rewards": reward, "scores": reward, "extra_logs": {}}
