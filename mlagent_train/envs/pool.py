"""A pool of environment workers as one Ray actor: queue, deadline, retry, replacement.

The pool is made before OpenRLHF starts, so that its workers do not inherit the placement
group of a rollout engine. Machine faults (a worker that raises, dies, hangs or answers
garbage) are retried on another worker; a step that is lost in the end is reported as
such, and when too many are, every caller gets `TooManyFaultsError`.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mlagent_train.envs.links import Address, Door
from mlagent_train.envs.record import StepRecord
from mlagent_train.envs.settings import POOL_NAME, AgentSettings, PoolSettings
from mlagent_train.envs.stepping import StepOutcome, StepRequest, StepResult, step_key
from mlagent_train.envs.workers import Crew, WorkerFacts
from mlagent_train.errors import TooManyFaultsError

__all__ = ["EnvPool", "StepOutcome", "cause_of", "start_pool"]


class EnvPool:
    """Hands steps to idle workers; made into an actor by `start_pool`."""

    def __init__(self, settings: PoolSettings):
        self._settings = settings
        self._window: collections.deque[bool] = collections.deque(maxlen=settings.fault_window)
        self._counts: collections.Counter[str] = collections.Counter()
        self._door = Door(lambda asked: self.step(*asked))
        self._crew = Crew(settings, self._counts, self._door)
        self._broken: TooManyFaultsError | None = None
        self._samples = 0
        self._remembered: dict[str, StepResult] = {}
        self._under_way: dict[str, asyncio.Future[StepOutcome]] = {}
        self._record = StepRecord(settings.record) if settings.record else None
        if self._record and settings.cache:
            self._remembered = self._record.results()

    async def start(self) -> None:
        """Start the workers and wait until they are ready; raises `MachineError`."""
        here: Any = ray.util
        await self._door.open(here.get_node_ip_address())
        await self._crew.start()

    async def step(self, request: StepRequest, tags: Mapping[str, Any]) -> StepOutcome:
        """Run a step on the next idle worker.

        Parameters
        ----------
        request
            The step.
        tags
            Written beside it into the record.

        Raises
        ------
        TooManyFaultsError
            Too many of the last steps were lost.
        MachineError
            No worker is left and none can be started.
        """
        if self._broken:
            raise self._broken
        update = self._update(tags)
        key = step_key(request) if self._settings.cache or self._record else ""
        outcome = await self._remembered_or_run(key, request)
        self._count(outcome)
        if self._record:
            self._record.append(key, request, outcome, {**tags, "update": update})
        return outcome

    async def agent_settings(self) -> AgentSettings | None:
        """Return the settings for agents."""
        return self._settings.agent

    async def address(self) -> Address:
        """Return where `(request, tags)` are answered as by `step`, without a call of Ray's."""
        return self._door.address

    async def counts(self) -> dict[str, int]:
        """Return how many steps were asked for, cached, retried, and lost by kind."""
        return dict(self._counts)

    async def workers(self) -> list[WorkerFacts]:
        """Return what the living workers said about themselves."""
        return self._crew.facts

    async def close(self) -> None:
        """End the workers."""
        self._crew.close()
        self._door.close()

    async def _remembered_or_run(self, key: str, request: StepRequest) -> StepOutcome:
        """Answer from memory, from an equal step that is under way, or from a worker."""
        if not self._settings.cache:
            return await self._attempt(request)
        under_way = self._under_way.get(key)
        if under_way is not None:
            asked = time.monotonic()
            outcome = await asyncio.shield(under_way)
            if outcome.result is not None:
                waited = time.monotonic() - asked
                return StepOutcome(outcome.result, cached=True, attempts=0, queue_s=waited)
            return await self._attempt(request)
        if key in self._remembered:
            return StepOutcome(self._remembered[key], cached=True, attempts=0)
        task = asyncio.ensure_future(self._attempt(request))
        self._under_way[key] = task
        try:
            outcome = await task
        finally:
            del self._under_way[key]
        if outcome.result is not None:
            self._remembered[key] = outcome.result
        return outcome

    def _update(self, tags: Mapping[str, Any]) -> int | None:
        """Return a sample's update: in training the one under way, in evaluation the last made.

        Updates are told apart by how many training samples were begun before; in asynchronous
        training some of them are of updates that are made after the evaluation.
        """
        agent, purpose = self._settings.agent, tags.get("purpose")
        if agent is None or purpose not in ("train", "evaluate"):
            return None
        if purpose == "train":
            self._samples += tags.get("turn", 0) == 0
            return agent.first_update + (self._samples - 1) // agent.samples_per_update
        begun = agent.first_update - 1 + self._samples // agent.samples_per_update
        return begun - agent.updates_ahead

    async def _attempt(self, request: StepRequest) -> StepOutcome:
        queue_s = env_s = 0.0
        fault, detail = "", ""
        for attempt in range(1, self._settings.retries + 2):
            asked = time.monotonic()
            worker = await self._crew.take()
            started = time.monotonic()
            queue_s += started - asked
            answer = await self._crew.run_on(worker, request)
            env_s += time.monotonic() - started
            if isinstance(answer, StepResult):
                return StepOutcome(
                    answer, attempts=attempt, queue_s=queue_s, env_s=env_s, detail=detail
                )
            fault, detail = answer
            self._counts[f"attempts_{fault}"] += 1
            print(f"env pool: attempt {attempt} {fault}: {detail}", flush=True)
        return StepOutcome(
            None, fault, detail, self._settings.retries + 1, queue_s=queue_s, env_s=env_s
        )

    def _count(self, outcome: StepOutcome) -> None:
        self._counts["steps"] += 1
        self._counts["cached"] += outcome.cached
        self._counts["retried"] += outcome.attempts > 1
        if outcome.fault:
            self._counts["lost"] += 1
            self._counts[f"lost_{outcome.fault}"] += 1
        self._window.append(bool(outcome.fault))
        settings = self._settings
        share = sum(self._window) / settings.fault_window
        if share > settings.max_fault_share and self._broken is None:
            self._broken = TooManyFaultsError(
                f"{sum(self._window)} of the last {len(self._window)} environment steps were lost "
                f"to machine faults, more than workers.max_fault_share = "
                f"{settings.max_fault_share:g} of {settings.fault_window}. "
                f"The last one: {outcome.fault}: {outcome.detail}"
                ". Fix the cause, then run the same command again."
            )


def cause_of(error: Any) -> Exception:
    """Return what a remote call raised, as it was raised there."""
    cause: Exception = error.as_instanceof_cause()
    return cause


def start_pool(settings: PoolSettings) -> Any:
    """Start a pool under `POOL_NAME` and return its handle once its workers are ready.

    The pool runs on the node of this process, whose folders it writes to; its workers run
    on any node that offers the resource `SLOT`.

    Raises
    ------
    MachineError
        Its workers cannot be started.
    """
    actor: Any = ray.remote(EnvPool).options(
        name=POOL_NAME,
        num_cpus=0,
        max_concurrency=4096,
        scheduling_strategy=NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        ),
    )
    pool = actor.remote(settings)
    try:
        ray.get(pool.start.remote())
    except ray.exceptions.RayTaskError as error:
        ray.kill(pool)
        raise cause_of(error) from None
    return pool
