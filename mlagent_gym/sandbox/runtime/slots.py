"""What of the machine the runs hold, and whether one more fits."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import machine
from .gpus import Gpu, environment

__all__ = ["Demand", "Grant", "Slots"]


@dataclass(frozen=True)
class Demand:
    """What a run needs for itself."""

    cores: int = 1
    memory_mb: int = 0
    gpus: int = 0
    usable_gpus: tuple[str, ...] = ()
    """Names of those that whoever asks may use."""


@dataclass(frozen=True)
class Grant:
    """What a run has been given."""

    demand: Demand
    gpus: tuple[Gpu, ...] = ()
    locks: tuple[int, ...] = field(default=(), repr=False)

    @property
    def devices(self) -> tuple[str, ...]:
        """Device files the script is to have."""
        return tuple(dict.fromkeys(path for gpu in self.gpus for path in gpu.devices))

    @property
    def environment(self) -> dict[str, str]:
        """Variables that tell the script what it has."""
        return environment(self.gpus)


class Slots:
    """The cores, memory and graphics processors that runs take and give back.

    Memory is counted by the runs' limits, against what was free when last nobody ran. A run
    that is alone is always let in, so that none waits for ever.

    Parameters
    ----------
    cores, memory_mb
        How much all runs may take together, and one at most.
    gpus
        The machine's.
    locks
        Folder of a file for each processor; whoever has locked it has the processor, which
        several brokers of one user thus share.
    available_memory_mb
        Says how much memory is free now.
    """

    def __init__(
        self,
        cores: int,
        memory_mb: int,
        gpus: Sequence[Gpu],
        locks: Path,
        available_memory_mb: Callable[[], int] = machine.available_memory_mb,
    ):
        self._cores = cores
        self._memory_mb = memory_mb
        self._gpus = {gpu.name: gpu for gpu in gpus}
        self._locks = locks
        self._available_memory_mb = available_memory_mb
        self._held: list[Grant] = []
        self._budget_mb = 0

    def refusal(self, demand: Demand) -> str:
        """Return why a run can never be let in here; empty if it can."""
        for wanted, most, what in (
            (demand.cores, self._cores, "cores"),
            (demand.memory_mb, self._memory_mb, "MB of memory"),
            (demand.gpus, len(self._usable(demand)), "GPUs it may use"),
        ):
            if wanted > most:
                return f"it asks for {wanted} {what}, and there are {most}"
        return ""

    def take(self, demand: Demand) -> Grant | None:
        """Give a run what it needs; None if that is not free now."""
        if self.is_full_for(demand):
            return None
        gpus, locks = self._lock_gpus(demand)
        if len(gpus) < demand.gpus:
            _unlock(locks)
            return None
        grant = Grant(demand, tuple(gpus), tuple(locks))
        self._held.append(grant)
        return grant

    def is_full_for(self, demand: Demand) -> bool:
        """Whether cores or memory, which all runs need, are lacking."""
        if not self._held:
            self._budget_mb = self._available_memory_mb()
            return False
        cores = sum(grant.demand.cores for grant in self._held)
        memory_mb = sum(grant.demand.memory_mb for grant in self._held)
        return cores + demand.cores > self._cores or memory_mb + demand.memory_mb > self._budget_mb

    def give_back(self, grant: Grant) -> None:
        """Take back what a run had."""
        self._held.remove(grant)
        _unlock(grant.locks)

    def _usable(self, demand: Demand) -> list[Gpu]:
        return [self._gpus[name] for name in demand.usable_gpus if name in self._gpus]

    def _lock_gpus(self, demand: Demand) -> tuple[list[Gpu], list[int]]:
        """Lock as many of the processors as are wanted, or fewer if there are not as many."""
        gpus: list[Gpu] = []
        locks: list[int] = []
        for gpu in self._usable(demand):
            if len(gpus) == demand.gpus:
                break
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            lock = os.open(self._locks / f"{gpu.name.replace('/', '-')}.gpu", flags, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                gpus.append(gpu)
                locks.append(lock)
        return gpus, locks


def _unlock(locks: Iterable[int]) -> None:
    for lock in locks:
        # Processes forked meanwhile have the descriptor too: closing ours would not unlock it.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
