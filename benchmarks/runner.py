"""Runs the trajectories of a benchmark, many at once, and writes down every step.

A trajectory is one JSONL file of records. A killed benchmark goes on after the last step
that was written; a trajectory that the machine or an endpoint failed is written down as
failed, is in no score, and is tried again by the next start.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.protocol import Protocol
from benchmarks.results import trajectory_path
from benchmarks.scaffolds import Node, next_node
from benchmarks.workers import Room, Workers
from mlagent_gym import MLAgentError, Record, State, append_record, load_task, read_records
from mlagent_gym.grading import metric_of
from mlagent_train.agents import Agent, Reply, Turn
from mlagent_train.envs.stepping import StepRequest, StepResult

__all__ = ["Done", "Failed", "Runner"]


class Failed(Exception):  # noqa: N818 - the trajectory, not the program
    """A trajectory could not be finished, by no fault of the policy."""


@dataclass(frozen=True)
class Done:
    """How one trajectory ended."""

    task: str
    number: int
    failure: str = ""


@dataclass(frozen=True)
class Runner:
    """What trajectories are run with."""

    protocol: Protocol
    folder: Path
    """Where the steps are written."""
    agent: Agent
    workers: Workers
    at_once: int
    """Trajectories at the same time."""
    on_step: Callable[[str], None] = lambda task: None
    """Called with the task after every step."""
    on_done: Callable[[Done], None] = lambda done: None
    """Called after every trajectory."""

    async def run(self) -> None:
        """Run every trajectory that is not finished."""
        room = Room(self.workers.slots, self.workers.memory_mb)
        gate = asyncio.Semaphore(self.at_once)

        async def run(task: str, number: int) -> None:
            failure = ""
            async with gate:
                try:
                    await _Trajectory(self, room, task, number).run()
                except (Failed, MLAgentError) as error:
                    failure = str(error)
            self.on_done(Done(task, number, failure))

        # Trajectory by trajectory over all tasks, so that every task has some early on.
        protocol = self.protocol
        async with asyncio.TaskGroup() as group:
            for number in range(protocol.trajectories):
                for task in protocol.tasks:
                    group.create_task(run(task, number))


@dataclass(frozen=True)
class _View:
    """What a policy is shown of a state."""

    messages: list[dict[str, str]]
    info: Mapping[str, Any]
    state: State


class _Trajectory:
    """One trajectory, as far as it has come."""

    def __init__(self, runner: Runner, room: Room, task: str, number: int):
        self._runner = runner
        self._room = room
        self._task = load_task(task)
        self._name = f"{task}/{number:02d}"
        self._seed = runner.protocol.seed + number
        self._path = trajectory_path(runner.folder, task, number)
        self._higher_is_better = metric_of(self._task).higher_is_better
        self._records: list[Record] = []
        self._views: dict[int, _View] = {}

    async def run(self) -> None:
        """Go on from the last written step to the end."""
        if self._path.exists():
            self._records = list(await asyncio.to_thread(lambda: [*read_records(self._path)]))
        while (node := self._next()) is not None:
            await self._step(node)
            self._runner.on_step(self._task.id)

    def _next(self) -> Node | None:
        return next_node(self._runner.protocol, self._name, self._records, self._higher_is_better)

    async def _step(self, node: Node) -> None:
        start, view = await self._view(0), await self._view(node.step)
        asked = time.perf_counter()
        reply = await self._reply(start, view)
        policy_s = time.perf_counter() - asked
        after = await self._ask(reply.text, view.state)
        assert after.record is not None  # it was asked for
        record = Record.from_json(after.record)
        record = replace(
            record,
            episode=self._name,
            info={**record.info, "parent": node.step},
            resources={
                **record.resources,
                "policy_s": policy_s,
                "prompt_tokens": reply.prompt_tokens,
                "completion_tokens": reply.completion_tokens,
                "cost": reply.cost,
            },
        )
        await asyncio.to_thread(append_record, self._path, record)
        self._records.append(record)
        self._views[len(self._records)] = _View(after.messages, record.info, record.next_state)

    async def _view(self, step: int) -> _View:
        """Return a state as it is shown: kept, or looked at again after a restart."""
        if step not in self._views:
            record = self._records[step - 1] if step else None
            first = self._records[0].state if self._records else None
            looked = await self._ask(None, record.next_state if record else first)
            assert looked.state is not None  # it was asked for
            info = record.info if record else looked.info
            self._views[step] = _View(looked.messages, info, State.from_dict(looked.state))
        return self._views[step]

    async def _reply(self, start: _View, view: _View) -> Reply:
        infos = [start.info, *(record.info for record in self._records)]
        past = [(_prompt(record), infos[record.info["parent"]]) for record in self._records]
        turn = Turn(
            task=self._task.id,
            seed=self._seed,
            messages=view.messages,
            info=view.info,
            past=past,
        )
        try:
            return await self._runner.agent.act(turn)
        except Exception as error:  # whatever it is, the reply is missing
            raise Failed(f"the policy gave no reply: {type(error).__name__}: {error}") from error

    async def _ask(self, reply: str | None, state: State | None) -> StepResult:
        request = StepRequest(
            self._task.env_id,
            reply,
            None if state is None else json.loads(state.to_json()),
            seed=self._seed,
            keep_state=True,
            record=reply is not None,
        )
        async with self._room.place(0 if reply is None else self._task.limits.memory_mb):
            try:
                outcome = await self._runner.workers.pool.step.remote(request, {})
            except Exception as error:  # Ray's, and what a pool without workers raises
                raise Failed(f"the machine failed: {str(error).splitlines()[-1]}") from error
        if outcome.result is None:
            raise Failed(f"the machine failed a step: {outcome.fault}: {outcome.detail}")
        result: StepResult = outcome.result
        return result


def _prompt(record: Record) -> str:
    assert record.messages is not None  # the environment was asked for them
    return record.messages[-1]["content"]
