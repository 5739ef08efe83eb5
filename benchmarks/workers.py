"""Where the steps of a benchmark run, and how many at once: cores, memory, GPUs, nodes."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.protocol import Protocol
from mlagent_gym import ConfigError

__all__ = ["Capacity", "Room", "Workers", "env_workers"]

_MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Capacity:
    """What the steps may use; None: all there is."""

    slots: int | None = None
    """Steps at the same time."""
    memory_gb: float | None = None
    """Sum of the memory limits of the scripts that run at the same time."""
    gpus_per_script: float = 0.0
    address: str = ""
    """A Ray cluster whose nodes offer the slots; empty: this machine alone."""


@dataclass(frozen=True)
class Workers:
    """The environment workers that were started."""

    pool: Any
    """Their pool, a Ray actor."""
    slots: int
    memory_mb: float


class Room:
    """The slots and the memory that are free; to be entered before a step."""

    def __init__(self, slots: int, memory_mb: float):
        self._slots = slots
        self._memory_mb = self._most_mb = memory_mb
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def place(self, memory_mb: float) -> AsyncIterator[None]:
        """Wait for a slot and for memory; a step that wants more than there is runs alone."""
        wanted = min(memory_mb, self._most_mb)
        async with self._changed:
            await self._changed.wait_for(lambda: self._slots > 0 and self._memory_mb >= wanted)
            self._slots -= 1
            self._memory_mb -= wanted
        try:
            yield
        finally:
            async with self._changed:
                self._slots += 1
                self._memory_mb += wanted
                self._changed.notify_all()


@contextmanager
def env_workers(protocol: Protocol, store: Path, capacity: Capacity) -> Iterator[Workers]:
    """Start or join Ray, start a pool of environment workers, and end it afterwards.

    Parameters
    ----------
    protocol
        Says how environments are made.
    store
        Where states are kept, reachable from every node.
    capacity
        What they may use.

    Raises
    ------
    ConfigError
        There is less than one slot.
    """
    # Ray announces itself and a change to come; both are about GPUs, which this pool has none of.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray").setLevel(logging.WARNING)
    ray: Any = importlib.import_module("ray")

    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import SLOT, PoolSettings
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    cores = psutil.cpu_count() or 1
    gpus = _gpus() if capacity.gpus_per_script and not capacity.address else 0
    here = RaySettings(
        address=capacity.address,
        cpus=max(cores, capacity.slots or 0),
        gpus=gpus,
        env_slots=max(cores, capacity.slots or 0),
    )
    start_ray(here, {"PYTHONPATH": str(Path(__file__).parents[1])})
    try:
        offered = ray.cluster_resources()
        most = offered.get(SLOT, 0) if capacity.address else cores
        if capacity.gpus_per_script:
            most = min(most, offered.get("GPU", 0) / capacity.gpus_per_script)
        slots = capacity.slots or math.floor(most)
        if slots < 1:
            raise ConfigError(
                "There is no place for a step: "
                + (
                    f"start the cluster's nodes with --resources '{{\"{SLOT}\": N}}'."
                    if capacity.address and not offered.get(SLOT)
                    else f"{offered.get('GPU', 0):g} GPUs do not make one script's "
                    f"{capacity.gpus_per_script:g}."
                )
            )
        pool = start_pool(
            PoolSettings(
                slots=slots,
                gpus_per_slot=capacity.gpus_per_script,
                env_kwargs=protocol.env_kwargs(store),
                step_timeout_s=protocol.max_seconds + 60,
                max_fault_share=1.0,  # a task that fails is reported; the others go on
                cache=False,
            )
        )
        yield Workers(pool, slots, _memory_mb(capacity))
    finally:
        ray.shutdown()


def _memory_mb(capacity: Capacity) -> float:
    if capacity.memory_gb is not None:
        return 1024 * capacity.memory_gb
    if capacity.address:  # each node has its own; its slots say what it can take
        return math.inf
    return _MEMORY_SHARE * psutil.virtual_memory().total / 2**20


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
