"""Whole episodes, many at once, one file each: ``python -m mlagent_train.jobs.episodes PLAN``.

Run by `launch`, which has started Ray and the pool of environment workers. Every step is on
the disk before the next one begins, so a killed job goes on after the last one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlagent_gym import Record, append_record, read_records
from mlagent_train.agents import Agent, Reply, Turn, make_agent
from mlagent_train.envs.stepping import StepRequest, StepResult
from mlagent_train.errors import EndpointError, MLAgentError
from mlagent_train.files import read_jsonl, write_json
from mlagent_train.idea_files import with_hints
from mlagent_train.jobs.budget import Budget, OutOfBudget, spent_in
from mlagent_train.jobs.plan_file import Episode, EpisodePlan

__all__ = ["run_plan"]


async def run_plan(plan: EpisodePlan, pool: Any) -> None:
    """Run the episodes that are not finished, `at_once` at a time.

    Raises
    ------
    ConfigError
        The policy cannot be had.
    TooManyFaultsError, MachineError
        As the pool's ``step``.
    """
    agent = make_agent(
        plan.policy,
        plan.sampling,
        at_once=plan.at_once,
        ideas=plan.ideas.edits_of,
        ideas_per_trajectory=plan.ideas_per_trajectory,
    )
    budget = Budget(plan.limits, *_spent_before(Path(plan.folder)))
    gate = asyncio.Semaphore(plan.at_once)

    async def run(episode: Episode) -> None:
        if _path(plan, episode).exists():
            return
        async with gate:
            try:
                await _Episode(plan, episode, agent, budget, pool).run()
            except OutOfBudget as reason:
                write_json(plan.stopped, {"reason": str(reason)})
            except EndpointError as error:  # this episode goes on in the next round
                write_json(plan.unanswered, {"reason": str(error)})
                print(f"{episode.name}: {error}", flush=True)

    async with asyncio.TaskGroup() as group:
        for episode in plan.episodes:
            group.create_task(run(episode))


class _Episode:
    """One episode, as far as it has come."""

    def __init__(
        self, plan: EpisodePlan, episode: Episode, agent: Agent, budget: Budget, pool: Any
    ):
        self._plan, self._episode, self._agent = plan, episode, agent
        self._budget, self._pool = budget, pool
        self._path = _path(plan, episode)
        self._past: list[tuple[str, Mapping[str, Any]]] = []

    async def run(self) -> None:
        """Go on from the last written step to the end, or to a step that is lost."""
        looked = await self._ask(None, None)
        steps, done = 0, False
        if looked is not None and _part(self._path).exists():
            info: Mapping[str, Any] = looked.info
            for record in await asyncio.to_thread(lambda: [*read_records(_part(self._path))]):
                assert record.messages is not None  # environments of the pool give them
                self._past.append((record.messages[-1]["content"], info))
                info, steps = record.info, steps + 1
                done = record.terminated or record.truncated
                last = json.loads(record.next_state.to_json())
            if steps:
                looked = await self._ask(None, last)
                looked = looked and replace(looked, info=dict(info))
        while looked is not None and not done and steps < self._plan.max_steps:
            looked = await self._step(looked)
            if looked is not None:
                steps, done = steps + 1, looked.terminated or looked.truncated
        if looked is not None and steps:
            _part(self._path).replace(self._path)

    async def _step(self, before: StepResult) -> StepResult | None:
        reply, policy_s = await self._reply(before)
        after = await self._ask(reply.text, before.state)
        if after is None:
            return None
        assert after.record is not None  # it was asked for
        record = Record.from_json(after.record)
        used = {
            "policy_s": policy_s,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "cost": reply.cost,
        }
        record = replace(
            record,
            episode=self._episode.name,
            reply=reply.text,  # an equal action may have been answered from memory
            resources={**record.resources, **used},
        )
        await asyncio.to_thread(append_record, _part(self._path), record)
        self._past.append((before.messages[-1]["content"], before.info))
        return after

    async def _reply(self, before: StepResult) -> tuple[Reply, float]:
        await self._budget.admit()
        asked = time.perf_counter()
        messages = before.messages
        if self._episode.hints and not self._past:
            messages = with_hints(messages, self._episode.hints)
        turn = Turn(
            task=self._episode.task,
            seed=self._episode.seed,
            messages=messages,
            info=before.info,
            past=tuple(self._past),
        )
        reply = await self._agent.act(turn)
        self._budget.spend(reply)
        return reply, time.perf_counter() - asked

    async def _ask(self, reply: str | None, state: Mapping[str, Any] | None) -> StepResult | None:
        request = StepRequest(
            self._episode.env_id,
            reply,
            state,
            seed=self._episode.env_seed,
            keep_state=True,
            record=reply is not None,
        )
        outcome = await self._pool.step.remote(request, {})
        result: StepResult | None = outcome.result
        return result


def _path(plan: EpisodePlan, episode: Episode) -> Path:
    return Path(plan.folder) / f"{episode.name}.jsonl"


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _spent_before(folder: Path) -> tuple[float, int]:
    """Return dollars and tokens of all steps that are written, of unfinished episodes too."""
    paths = (*folder.glob("*.jsonl"), *folder.glob("*.jsonl.part"))
    return spent_in(row for path in paths for row in read_jsonl(path))


def _main(path: Path) -> None:
    import ray

    from mlagent_train.envs.pool import cause_of
    from mlagent_train.envs.settings import POOL_NAME

    pool = ray.get_actor(POOL_NAME)
    try:
        asyncio.run(run_plan(EpisodePlan.load(path), pool))
    except* MLAgentError as errors:
        raise errors.exceptions[0] from None
    except* ray.exceptions.RayTaskError as errors:
        raise cause_of(errors.exceptions[0]) from None


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
