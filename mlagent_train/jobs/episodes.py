"""Whole episodes, many at once, one file each: ``python -m mlagent_train.jobs.episodes PLAN``.

Run by `launch`, which has started Ray and the pool of environment workers. Episodes whose
file is there are not run again, so a killed job loses only what was under way.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlagent_gym import IdeaBankExpert
from mlagent_train.chat import prompt_text, reply_text
from mlagent_train.envs.stepping import StepRequest, StepResult
from mlagent_train.files import read_json, write_json, write_jsonl

__all__ = ["Episode", "EpisodePlan"]

Act = Callable[[StepResult], Awaitable[str]]


@dataclass(frozen=True)
class Episode:
    """One episode to run."""

    name: str
    """Its file is ``<name>.jsonl``."""
    task: str
    env_id: str
    env_seed: int
    """Seed of the environment; equal seeds let equal steps be answered from memory."""
    seed: int
    """Seed of the policy's draws."""


@dataclass(frozen=True)
class EpisodePlan:
    """The episodes of a stage and the policy that acts in them."""

    folder: str
    episodes: tuple[Episode, ...]
    max_steps: int
    at_once: int
    expert_ideas: tuple[int, int] | None = None
    """Fewest and most ideas of the idea-bank expert; None: the model acts."""
    ideas_from: str = ""
    model: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_prompt_tokens: int = 0
    max_new_tokens: int = 0
    seed: int = 0
    engine_memory_share: float = 0.9

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> EpisodePlan:
        """Read what `save` wrote."""
        values = read_json(path)
        episodes = tuple(Episode(**episode) for episode in values.pop("episodes"))
        ideas = values.pop("expert_ideas")
        return cls(**values, episodes=episodes, expert_ideas=ideas and (ideas[0], ideas[1]))


async def run_plan(plan: EpisodePlan, pool: Any) -> None:
    """Run the episodes that have no file yet, `at_once` at a time.

    Raises
    ------
    TooManyFaultsError, MachineError
        As the pool's ``step``.
    """
    start = _model_acts(plan) if plan.model else _expert_acts(plan)
    gate = asyncio.Semaphore(plan.at_once)

    async def run(episode: Episode) -> None:
        path = Path(plan.folder) / f"{episode.name}.jsonl"
        if path.exists():
            return
        async with gate:
            rows = await _run_episode(episode, plan.max_steps, start(episode), pool)
        if rows is not None:
            write_jsonl(path, rows)

    async with asyncio.TaskGroup() as group:
        for episode in plan.episodes:
            group.create_task(run(episode))


async def _run_episode(
    episode: Episode, max_steps: int, act: Act, pool: Any
) -> list[dict[str, Any]] | None:
    """Return one row a step; None when a step was lost to machine faults."""
    looked = await _step(
        pool, StepRequest(episode.env_id, None, seed=episode.env_seed, keep_state=True)
    )
    rows: list[dict[str, Any]] = []
    while looked is not None and len(rows) < max_steps:
        reply = await act(looked)
        after = await _step(
            pool,
            StepRequest(
                episode.env_id, reply, looked.state, seed=episode.env_seed, keep_state=True
            ),
        )
        if after is None:
            return None
        rows.append(
            {
                "episode": episode.name,
                "task": episode.task,
                "env_id": episode.env_id,
                "seed": episode.env_seed,
                "step": len(rows) + 1,
                "state": looked.state,
                "messages": looked.messages,
                "reply": reply,
                "reward": after.reward,
                "terminated": after.terminated,
                "truncated": after.truncated,
                "info": after.info,
            }
        )
        if after.terminated or after.truncated:
            break
        looked = after
    return rows or None


async def _step(pool: Any, request: StepRequest) -> StepResult | None:
    outcome = await pool.step.remote(request, {})
    result: StepResult | None = outcome.result
    return result


def _expert_acts(plan: EpisodePlan) -> Callable[[Episode], Act]:
    assert plan.expert_ideas is not None
    count = plan.expert_ideas

    def start(episode: Episode) -> Act:
        expert = IdeaBankExpert(count, _ideas_from(plan.ideas_from))
        expert.start(episode.task, seed=episode.seed)

        async def act(looked: StepResult) -> str:
            return expert.act(looked.messages[-1]["content"], looked.info)

        return act

    return start


def _ideas_from(name: str) -> Any:
    """Return the function of a task id that gives its ideas; None: the task folders' own."""
    import importlib

    if not name:
        return None
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _model_acts(plan: EpisodePlan) -> Callable[[Episode], Act]:
    import vllm
    from transformers import AutoTokenizer
    from vllm.inputs import TokensPrompt

    tokenizer: Any = AutoTokenizer.from_pretrained(plan.model)
    engine = vllm.AsyncLLMEngine.from_engine_args(
        vllm.AsyncEngineArgs(
            model=plan.model,
            dtype="bfloat16",
            seed=plan.seed,
            max_model_len=plan.max_prompt_tokens + plan.max_new_tokens,
            gpu_memory_utilization=plan.engine_memory_share,
        )
    )
    params = vllm.SamplingParams(
        temperature=plan.temperature,
        top_p=plan.top_p,
        max_tokens=plan.max_new_tokens,
        min_tokens=1,
        skip_special_tokens=False,
    )

    async def act(looked: StepResult) -> str:
        text = prompt_text(tokenizer, looked.messages)
        tokens = tokenizer(text=text, add_special_tokens=False)["input_ids"]
        prompt = TokensPrompt(prompt_token_ids=tokens[-plan.max_prompt_tokens :])
        stream = engine.generate(prompt, params, request_id=uuid.uuid4().hex)
        *_, finished = [output async for output in stream]
        return reply_text(tokenizer, finished.outputs[0].token_ids)

    def start(_episode: Episode) -> Act:
        return act

    return start


def _main(path: Path) -> None:
    import ray

    from mlagent_train.envs.pool import cause_of
    from mlagent_train.envs.settings import NAMESPACE, POOL_NAME

    pool = ray.get_actor(POOL_NAME, namespace=NAMESPACE)
    try:
        asyncio.run(run_plan(EpisodePlan.load(path), pool))
    except* ray.exceptions.RayTaskError as errors:
        raise cause_of(errors.exceptions[0]) from None


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
