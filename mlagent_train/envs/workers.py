"""The pool's workers: processes on any node that run one step at a time, and their replacement."""

from __future__ import annotations

import asyncio
import collections
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from mlagent_gym import MLAgentError, Store
from mlagent_train.envs import blobs
from mlagent_train.envs.links import Address, Door, Link, serve
from mlagent_train.envs.settings import SLOT, PoolSettings
from mlagent_train.envs.stepping import GarbageError, Stepper, StepRequest, StepResult
from mlagent_train.errors import MachineError
from mlagent_train.hardware import cpu_count

__all__ = ["Crew", "Fault", "WorkerFacts"]

Fault = tuple[str, str]
"""(kind, detail) of a step that has no result."""

_STARTS_IN_A_ROW = 3
_ANSWER_S = 15.0
"""For an idle worker to say that it is there."""
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says about itself."""

    pid: int
    node: str
    """Ray's id of its node."""
    cores: int
    sees_store: bool
    """Otherwise blobs travel with each step."""


@dataclass(frozen=True)
class Answer:
    """A step that was run."""

    result: StepResult
    blobs: Mapping[str, bytes]
    """What its state needs and the pool's store may not have."""


class EnvWorker:
    """A process that runs one step at a time."""

    def __init__(self, env_kwargs: Mapping[str, Any], shared: blobs.SharedFolder | None):
        self._local: Store | None = None
        if shared is not None and not shared.is_seen():
            folder: Path = blobs.local_folder(shared)
            self._local = Store(folder)
            env_kwargs = {**env_kwargs, "store": str(folder)}
        self._stepper = Stepper(env_kwargs)

    def ready(self) -> WorkerFacts:
        """Answer once the process is up."""
        node = ray.get_runtime_context().get_node_id()
        return WorkerFacts(os.getpid(), node, cpu_count(), self._local is None)

    def serve(self, door: Address, name: str) -> None:
        """Run the steps that the pool asks for, until it closes the connection."""

        def answer(asked: tuple[StepRequest, Mapping[str, bytes]] | None) -> Any:
            return None if asked is None else self.run(*asked)

        serve(door, name, answer)

    def run(self, request: StepRequest, sent: Mapping[str, bytes]) -> Answer | Fault:
        """Run a step; return a fault instead of raising."""
        try:
            if self._local is None:
                return Answer(self._stepper.run(request), {})
            blobs.keep_blobs(sent, self._local)
            result = self._stepper.run(request)
            made = blobs.new_blobs(result.state, sent, self._local)
            if graded := str(result.info.get("submission") or ""):  # kept if it is recorded
                made[graded] = self._local.get(graded)
            return Answer(result, made)
        except GarbageError as error:
            return "garbage", str(error)
        except Exception as error:
            return "raised", f"{type(error).__name__}: {error}"


_ENV_WORKER: Any = ray.remote(max_restarts=0, max_task_retries=0)(EnvWorker)


@dataclass(frozen=True)
class _Worker:
    actor: Any
    facts: WorkerFacts
    link: Link
    """Takes a request with its blobs; None asks whether somebody is there."""


class Crew:
    """The living workers: runs steps on idle ones, replaces those that are lost.

    Parameters
    ----------
    settings
        How many there are, and what each may use.
    counts
        ``workers_replaced`` and ``failed_starts`` are counted here.
    door
        Where workers connect to; open when `start` is called.
    """

    def __init__(self, settings: PoolSettings, counts: collections.Counter[str], door: Door):
        self._settings = settings
        self._counts = counts
        self._door = door
        self._idle: asyncio.Queue[_Worker | None] = asyncio.Queue()
        self._alive: dict[tuple[int, str], _Worker] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._broken: MachineError | None = None
        store = settings.env_kwargs.get("store")
        self._shared = blobs.share_folder(str(store)) if store else None

    @property
    def facts(self) -> list[WorkerFacts]:
        """What the living workers said about themselves."""
        return [worker.facts for worker in self._alive.values()]

    async def start(self) -> None:
        """Start all workers and wait until they are ready.

        Raises
        ------
        MachineError
            Some could not be started.
        """
        resources: Any = ray.cluster_resources  # its annotations are incomplete
        offered = int(resources().get(SLOT, 0))
        if offered < self._settings.slots:
            raise MachineError(
                f"The cluster offers {offered} {SLOT}, workers.slots asks for "
                f"{self._settings.slots}. Start each node with the steps it can run at once: "
                f"ray start --address=... --resources='{{\"{SLOT}\": 32}}'"
            )
        await asyncio.gather(*(self._first_start() for _ in range(self._settings.slots)))
        if self._broken:
            raise self._broken
        for node, count in collections.Counter(facts.node for facts in self.facts).items():
            cores = next(facts.cores for facts in self.facts if facts.node == node)
            if count > cores:
                _say(
                    f"{count} workers share the {cores} cores of node {node[:8]}: scripts that "
                    "wait for a core use up their step's workers.step_timeout_s"
                )

    async def take(self) -> _Worker:
        """Wait for an idle worker; raises `MachineError` when there will be none."""
        worker = await self._idle.get()
        if worker is None:
            self._idle.put_nowait(None)
            assert self._broken is not None
            raise self._broken
        return worker

    async def run_on(self, worker: _Worker, request: StepRequest) -> StepResult | Fault:
        """Run on this worker, which is put back or replaced before the next step gets it."""
        limit_s = self._settings.step_timeout_s
        store = None if worker.facts.sees_store else self._store()
        try:
            sent = blobs.blobs_for(request.state, store) if store else {}
        except MLAgentError as error:
            self._idle.put_nowait(worker)
            return "raised", f"{type(error).__name__}: {error}"
        try:
            async with asyncio.timeout(limit_s):
                answer = await worker.link.ask((request, sent))
        except TimeoutError:
            self._replace(worker)
            return "timeout", f"no answer within {limit_s:g} s"
        except asyncio.CancelledError:
            self._replace(worker)
            raise
        except Exception as error:  # its process or its node is gone
            self._replace(worker)
            await self._sweep()
            return "died", f"{type(error).__name__}: {error}"
        self._idle.put_nowait(worker)
        if not isinstance(answer, Answer):
            kind, detail = answer
            return kind, detail
        if store:
            blobs.keep_blobs(answer.blobs, store)
        return answer.result

    def close(self) -> None:
        """End the workers."""
        for task in self._background:
            task.cancel()
        for worker in self._alive.values():
            worker.link.close()
            ray.kill(worker.actor, no_restart=True)
        self._alive.clear()

    def _store(self) -> Store:
        assert self._shared is not None
        return Store(self._shared.path)

    async def _sweep(self) -> None:
        """Replace idle workers that are gone, too: a node takes all of its workers with it.

        Otherwise a step might meet one after another of them on its retries.
        """
        idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]

        async def check(worker: _Worker | None) -> None:
            if worker is not None:
                try:
                    async with asyncio.timeout(_ANSWER_S):
                        await worker.link.ask(None)
                except Exception:
                    self._replace(worker)
                    return
            self._idle.put_nowait(worker)

        await asyncio.gather(*map(check, idle))

    def _replace(self, worker: _Worker) -> None:
        worker.link.close()
        ray.kill(worker.actor, no_restart=True)
        del self._alive[worker.facts.pid, worker.facts.node]
        self._counts["workers_replaced"] += 1
        task = asyncio.get_running_loop().create_task(self._restore())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _restore(self) -> None:
        """Start one worker, however long it takes, as long as there are others."""
        failures = 0
        while self._broken is None:
            try:
                return await self._start_one()
            except Exception as error:
                failures += 1
                _say(
                    f"no new worker yet, {len(self._alive)} of {self._settings.slots} are left "
                    f"({type(error).__name__}: {error})"
                )
                if not self._alive and failures >= _STARTS_IN_A_ROW:
                    self._break(error)
            await asyncio.sleep(min(2.0**failures, _LONGEST_PAUSE_S))

    async def _first_start(self) -> None:
        for attempt in range(1, _STARTS_IN_A_ROW + 1):
            try:
                return await self._start_one()
            except Exception as error:
                if attempt == _STARTS_IN_A_ROW:
                    self._break(error)

    async def _start_one(self) -> None:
        settings = self._settings
        actor = _ENV_WORKER.options(
            num_cpus=settings.cpus_per_slot,
            num_gpus=settings.gpus_per_slot,
            memory=int(settings.memory_mb_per_slot * 2**20) or None,
            resources={SLOT: 1},
            scheduling_strategy="SPREAD",
        ).remote(dict(settings.env_kwargs), self._shared)
        try:
            async with asyncio.timeout(settings.start_timeout_s):
                facts = await actor.ready.remote()
                link = await self._connect(actor)
        except BaseException:
            ray.kill(actor, no_restart=True)
            self._counts["failed_starts"] += 1
            raise
        worker = _Worker(actor, facts, link)
        self._alive[facts.pid, facts.node] = worker
        self._idle.put_nowait(worker)

    async def _connect(self, actor: Any) -> Link:
        """Have a worker come to the door; it is lost when Ray says so, too.

        A node that goes away without a word leaves its connections as if they were there.
        """
        name = uuid.uuid4().hex
        coming = self._door.expect(name)
        serving = asyncio.ensure_future(_result(actor.serve.remote(self._door.address, name)))
        try:
            await asyncio.wait({coming, serving}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                await serving
                raise MachineError(
                    "The worker left before its first step. See Ray's logs, and start again."
                )
        except BaseException:
            coming.cancel()
            serving.cancel()
            raise
        link = coming.result()
        serving.add_done_callback(lambda done: _over(done, link))
        return link

    def _break(self, error: Exception) -> None:
        self._broken = MachineError(
            f"No environment worker could be started in {_STARTS_IN_A_ROW} attempts "
            f"({type(error).__name__}: {error}). Make sure that a node offers enough {SLOT}, CPUs, "
            "GPUs and memory and can import mlagent_train; then run the same command again."
        )
        self._idle.put_nowait(None)  # wakes those who wait


async def _result(reference: Any) -> Any:
    return await reference


def _over(serving: asyncio.Future[Any], link: Link) -> None:
    """Cut the link to a worker that serves no more."""
    if not serving.cancelled():
        serving.exception()  # looked at: asyncio warns of errors that nobody has seen
    link.close()


def _say(what: str) -> None:
    print(f"env pool: {what}", flush=True)
