"""Runs the trajectories of a benchmark, many at once, and writes down every step.

A trajectory is one JSONL file of records. A killed benchmark goes on after the last step
that was written; a trajectory that the machine or an endpoint failed is written down as
failed, is in no score, and is tried again by the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.agents import Agent, Reply, Turn
from benchmarks.protocol import Protocol
from benchmarks.scaffolds import SCAFFOLDS, Node
from mlagent_gym import State, load_task, parse
from mlagent_gym.grading import metric_of
from mlagent_gym.records import Record, append_record, read_records
from mlagent_train.envs.stepping import StepRequest, StepResult

__all__ = ["Done", "Failed", "env_workers", "run_all", "trajectory_path"]


class Failed(Exception):  # noqa: N818 - the trajectory, not the program
    """A trajectory could not be finished, by no fault of the policy."""


@dataclass(frozen=True)
class Done:
    """How one trajectory ended."""

    task: str
    number: int
    failure: str = ""


def trajectory_path(folder: Path, task: str, number: int) -> Path:
    """Return the file of a trajectory."""
    return folder / "trajectories" / task / f"{number:02d}.jsonl"


@contextmanager
def env_workers(protocol: Protocol, store: Path, slots: int, address: str = "") -> Iterator[Any]:
    """Start Ray and a pool of environment workers, and yield the pool.

    Parameters
    ----------
    protocol
        Says how environments are made.
    store
        Where states are kept, reachable from every node.
    slots
        Steps at the same time.
    address
        A Ray cluster to join; empty: this machine alone.
    """
    # Ray announces itself and a change to come; both are about GPUs, which this pool has none of.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray").setLevel(logging.WARNING)
    import ray

    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import PoolSettings
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    project = str(Path(__file__).parents[1])
    settings = RaySettings(address=address, cpus=slots, gpus=0, env_slots=slots)
    start_ray(settings, {"PYTHONPATH": project})
    try:
        yield start_pool(
            PoolSettings(
                slots=slots,
                env_kwargs=protocol.env_kwargs(store),
                step_timeout_s=protocol.max_seconds + 60,
                max_fault_share=0.5,
                cache=False,
            )
        )
    finally:
        ray.shutdown()


async def run_all(
    protocol: Protocol,
    folder: Path,
    agent: Agent,
    pool: Any,
    *,
    at_once: int,
    on_step: Callable[[str], None] = lambda task: None,
) -> list[Done]:
    """Run every trajectory that is not finished, `at_once` at a time.

    Parameters
    ----------
    protocol
        What to run.
    folder
        Where the steps are written.
    agent
        What acts.
    pool
        Environment workers, as `env_workers` gives them.
    at_once
        Trajectories at the same time.
    on_step
        Called after every step with its task.
    """
    gate = asyncio.Semaphore(at_once)

    async def run(task: str, number: int) -> Done:
        async with gate:
            try:
                await _Trajectory(protocol, folder, task, number).run(agent, pool, on_step)
            except Failed as failure:
                return Done(task, number, str(failure))
            return Done(task, number)

    # Trajectory by trajectory over all tasks, so that every task has some early on.
    jobs = [run(task, k) for k in range(protocol.trajectories) for task in protocol.tasks]
    return list(await asyncio.gather(*jobs))


class _Trajectory:
    """One trajectory, as far as it has come."""

    def __init__(self, protocol: Protocol, folder: Path, task: str, number: int):
        self._protocol = protocol
        self._path = trajectory_path(folder, task, number)
        self._task = task
        self._number = number
        self._env_id = load_task(task).env_id
        self._higher_is_better = metric_of(load_task(task)).higher_is_better
        self._env = {"id": self._env_id, "kwargs": protocol.env_kwargs(folder / "store")}
        self._journal: list[Node] = []
        self._looks: list[StepResult] = []

    async def run(self, agent: Agent, pool: Any, on_step: Callable[[str], None]) -> None:
        """Go on from the last written step to the end."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        records = list(read_records(self._path)) if self._path.exists() else []
        start = records[0].state if records else None
        await self._look(pool, start, -1, ended=False)
        for record in records:
            parent = int(record.info["parent"])
            ended = record.terminated or record.truncated
            self._journal.append(Node.of(len(self._journal), parent, record.info, ended))
            self._looks.append(await self._at(pool, record.next_state, record))
        while len(self._journal) <= self._protocol.max_steps:
            node = self._next()
            if node is None:
                return
            await self._step(agent, pool, node)
            on_step(self._task)

    def _next(self) -> Node | None:
        rng = random.Random(f"{self._task}/{self._number}/{len(self._journal)}")
        scaffold = SCAFFOLDS[self._protocol.scaffold]
        return scaffold(self._journal, self._higher_is_better, rng)

    async def _look(self, pool: Any, state: State | None, parent: int, *, ended: bool) -> None:
        looked = await self._ask(pool, None, None if state is None else _values(state))
        self._looks.append(looked)
        self._journal.append(Node.of(len(self._journal), parent, looked.info, ended))

    async def _at(self, pool: Any, state: State, record: Record) -> StepResult:
        """Return the prompt after a written step, with what was said of that step."""
        looked = await self._ask(pool, None, _values(state))
        return StepResult(looked.messages, 0.0, False, False, dict(record.info), looked.state)

    async def _step(self, agent: Agent, pool: Any, node: Node) -> None:
        before = self._looks[node.step]
        asked = time.perf_counter()
        reply = await self._reply(agent, node, before)
        policy_s = time.perf_counter() - asked
        after = await self._ask(pool, reply.text, before.state)
        assert before.state is not None  # it was asked for
        assert after.state is not None
        record = Record(
            episode=f"{self._task}/{self._number:02d}",
            env=self._env,
            state=State.from_dict(before.state),
            prompt=_digest(before.messages),
            reply=reply.text,
            action={"name": parse(reply.text).name},
            reward=after.reward,
            terminated=after.terminated,
            truncated=after.truncated,
            info={**after.info, "parent": node.step},
            next_state=State.from_dict(after.state),
            next_prompt=_digest(after.messages),
            resources={
                "total_s": time.perf_counter() - asked,
                "policy_s": policy_s,
                "prompt_tokens": reply.prompt_tokens,
                "completion_tokens": reply.completion_tokens,
                "cost": reply.cost,
            },
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        await asyncio.to_thread(append_record, self._path, record)
        ended = after.terminated or after.truncated
        self._journal.append(Node.of(len(self._journal), node.step, after.info, ended))
        self._looks.append(after)

    async def _reply(self, agent: Agent, node: Node, before: StepResult) -> Reply:
        past = [(look.messages[-1]["content"], look.info) for look in self._looks[:-1]]
        turn = Turn(
            task=self._task,
            seed=self._protocol.seed + self._number,
            messages=before.messages,
            info=before.info,
            past=past,
        )
        try:
            return await agent.act(turn)
        except Exception as error:
            raise Failed(f"the policy gave no reply: {type(error).__name__}: {error}") from error

    async def _ask(
        self, pool: Any, reply: str | None, state: Mapping[str, Any] | None
    ) -> StepResult:
        request = StepRequest(
            self._env_id,
            reply,
            state,
            seed=self._protocol.seed + self._number,
            keep_state=True,
        )
        outcome = await pool.step.remote(request, {})
        if outcome.result is None:
            raise Failed(f"the machine failed a step: {outcome.fault}: {outcome.detail}")
        result: StepResult = outcome.result
        return result


def _values(state: State) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(state.to_json())
    return values


def _digest(messages: Any) -> str:
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()
