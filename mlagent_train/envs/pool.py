"""A pool of environment workers as one Ray actor: queue, deadline, retry, replacement.

The pool is made before OpenRLHF starts, so that its workers do not inherit the placement
group of a rollout engine. Machine faults (a worker that raises, dies, hangs or answers
garbage) are retried on another worker; a step that is lost in the end is reported as
such, and when too many are, every caller gets `TooManyFaultsError`.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray

from mlagent_train.envs.settings import NAMESPACE, POOL_NAME, SLOT, AgentSettings, PoolSettings
from mlagent_train.envs.stepping import Stepper, StepRequest, StepResult, step_key
from mlagent_train.errors import MachineError, TooManyFaultsError

__all__ = ["EnvPool", "StepOutcome", "cause_of", "start_pool"]

_REPLACEMENTS_IN_A_ROW = 3


@dataclass(frozen=True)
class StepOutcome:
    """A step, or what became of it."""

    result: StepResult | None
    """None: the step was lost to machine faults."""
    fault: str = ""
    """``raised``, ``died``, ``timeout`` or ``garbage``, when it was lost."""
    detail: str = ""
    attempts: int = 1
    cached: bool = False
    queue_s: float = 0.0
    """Waiting for a worker."""
    env_s: float = 0.0
    """On workers, lost attempts included."""


class EnvWorker:
    """A process that runs one step at a time."""

    def __init__(self, env_kwargs: Mapping[str, Any]):
        self._stepper = Stepper(env_kwargs)

    def ready(self) -> int:
        """Answer once the process is up."""
        return os.getpid()

    def run(self, request: StepRequest) -> StepResult | tuple[str, str]:
        """Run a step; return (kind, detail) of a fault instead of raising."""
        from mlagent_train.envs.stepping import GarbageError

        try:
            return self._stepper.run(request)
        except GarbageError as error:
            return "garbage", str(error)
        except Exception as error:
            return "raised", f"{type(error).__name__}: {error}"


_ENV_WORKER: Any = ray.remote(max_restarts=0, max_task_retries=0)(EnvWorker)


class EnvPool:
    """Hands steps to idle workers; made into an actor by `start_pool`."""

    def __init__(self, settings: PoolSettings):
        self._settings = settings
        self._idle: asyncio.Queue[Any] = asyncio.Queue()
        self._window: collections.deque[bool] = collections.deque(maxlen=settings.fault_window)
        self._counts: collections.Counter[str] = collections.Counter()
        self._background: set[asyncio.Task[None]] = set()
        self._broken: Exception | None = None
        self._samples = 0
        self._remembered: dict[str, StepResult] = {}
        self._under_way: dict[str, asyncio.Future[StepOutcome]] = {}
        self._record = _Record(settings.record) if settings.record else None
        if self._record and settings.cache:
            self._remembered = self._record.results()

    async def start(self) -> int:
        """Start the workers; return how many there are once all are ready."""
        await asyncio.gather(*(self._add_worker() for _ in range(self._settings.slots)))
        if self._broken:
            raise self._broken
        return self._idle.qsize()

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
            No worker can be started any more.
        """
        if self._broken:
            raise self._broken
        update = self._update(tags)
        key = step_key(request)
        outcome = await self._remembered_or_run(key, request)
        self._count(outcome)
        if self._record:
            self._record.append(key, request, outcome, {**tags, "update": update})
        return outcome

    async def agent_settings(self) -> AgentSettings | None:
        """Return the settings for agents."""
        return self._settings.agent

    async def counts(self) -> dict[str, int]:
        """Return how many steps were asked for, cached, retried, and lost by kind."""
        return dict(self._counts)

    async def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that are idle."""
        workers = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        for worker in workers:
            self._idle.put_nowait(worker)
        return list(await asyncio.gather(*(_resolved(w.ready.remote()) for w in workers)))

    async def close(self) -> None:
        """End the workers that are idle."""
        while not self._idle.empty():
            worker = self._idle.get_nowait()
            if worker is not None:
                ray.kill(worker, no_restart=True)

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
        """Return the update a training sample belongs to, from how many were begun before it."""
        agent = self._settings.agent
        if agent is None or tags.get("purpose") != "train":
            return None
        self._samples += tags.get("turn", 0) == 0
        return agent.first_update + (self._samples - 1) // agent.samples_per_update

    async def _attempt(self, request: StepRequest) -> StepOutcome:
        queue_s = env_s = 0.0
        fault, detail = "", ""
        for attempt in range(1, self._settings.retries + 2):
            asked = time.monotonic()
            worker = await self._take()
            started = time.monotonic()
            queue_s += started - asked
            answer = await self._run_on(worker, request)
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

    async def _take(self) -> Any:
        worker = await self._idle.get()
        if worker is None:  # put there by a worker that could not be replaced
            self._idle.put_nowait(None)
            assert self._broken is not None
            raise self._broken
        return worker

    async def _run_on(self, worker: Any, request: StepRequest) -> StepResult | tuple[str, str]:
        """Run on this worker, which is put back or replaced before the next step gets it."""
        reference = worker.run.remote(request)
        try:
            answer = await asyncio.wait_for(_resolved(reference), self._settings.step_timeout_s)
        except TimeoutError:
            self._replace(worker)
            return "timeout", f"no answer within {self._settings.step_timeout_s:g} s"
        except asyncio.CancelledError:
            self._replace(worker)
            raise
        except Exception as error:  # Ray's errors of a dead or unreachable process
            self._replace(worker)
            return "died", f"{type(error).__name__}: {str(error).splitlines()[0]}"
        self._idle.put_nowait(worker)
        valid: StepResult | tuple[str, str] = answer
        return valid

    def _replace(self, worker: Any) -> None:
        ray.kill(worker, no_restart=True)
        self._counts["workers_replaced"] += 1
        task = asyncio.get_running_loop().create_task(self._add_worker())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _add_worker(self) -> None:
        settings = self._settings
        error: Exception | None = None
        for _ in range(_REPLACEMENTS_IN_A_ROW):
            worker = _ENV_WORKER.options(
                num_cpus=settings.cpus_per_slot,
                num_gpus=settings.gpus_per_slot,
                resources={SLOT: 1},
                scheduling_strategy="SPREAD",
            ).remote(dict(settings.env_kwargs))
            try:
                await asyncio.wait_for(_resolved(worker.ready.remote()), settings.start_timeout_s)
            except Exception as failure:
                error = failure
                ray.kill(worker, no_restart=True)
                continue
            self._idle.put_nowait(worker)
            return
        self._broken = MachineError(
            f"No environment worker could be started in {_REPLACEMENTS_IN_A_ROW} attempts "
            f"({type(error).__name__}: {error}). Does every node offer enough {SLOT}, CPUs and "
            "memory, and can it import mlagent_train?"
        )
        self._idle.put_nowait(None)

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
            )


class _Record:
    """Append-only JSONL of steps; a line cut by a kill is skipped when read."""

    def __init__(self, path: str):
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        cut = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
        self._process = f"{time.time():.0f}-{os.getpid()}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if cut and self._path.stat().st_size:
            os.write(self._file, b"\n")

    def append(
        self, key: str, request: StepRequest, outcome: StepOutcome, tags: Mapping[str, Any]
    ) -> None:
        values = asdict(outcome)
        result = values.pop("result")
        row = {
            **tags,
            "process": self._process,
            "env_id": request.env_id,
            "reply": request.reply,
            "keep_state": request.keep_state,
            **values,
            "reward": result and result["reward"],
            "terminated": result and result["terminated"],
            "truncated": result and result["truncated"],
            "info": result and result["info"],
            "key": key,
            "time": time.time(),
        }
        os.write(self._file, (json.dumps(row) + "\n").encode())

    def results(self) -> dict[str, StepResult]:
        """Return the steps recorded so far that were not lost, without their prompts."""
        results = {}
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["reward"] is not None and not row["keep_state"]:  # states are not recorded
                results[row["key"]] = StepResult(
                    [], row["reward"], row["terminated"], row["truncated"], row["info"], None
                )
        return results


def cause_of(error: Any) -> Exception:
    """Return what a remote call raised, as it was raised there."""
    cause: Exception = error.as_instanceof_cause()
    return cause


async def _resolved(reference: Any) -> Any:
    return await reference


def start_pool(settings: PoolSettings) -> Any:
    """Start a pool under `POOL_NAME` and return its handle once its workers are ready.

    Raises
    ------
    MachineError
        Its workers cannot be started.
    """
    actor: Any = ray.remote(EnvPool).options(
        name=POOL_NAME, namespace=NAMESPACE, num_cpus=0, max_concurrency=4096
    )
    pool = actor.remote(settings)
    try:
        ray.get(pool.start.remote())
    except ray.exceptions.RayTaskError as error:
        ray.kill(pool)
        raise cause_of(error) from None
    return pool
