"""How much memory a tree of processes has, without asking the kernel too often."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .processes import Memory, Process

__all__ = ["Meter"]

_REFRESH_EVERY_S = 1.0
_NEW_AT_ONCE = 4


@dataclass(frozen=True)
class _Known:
    """What a process had when it was asked for."""

    memory: Memory
    resident_bytes: int
    at_s: float


class Meter:
    """Adds up the memory of a run's processes, asking for a process's only when it matters.

    A process that was asked for before is taken to have grown by as much as what is
    resident has.

    Parameters
    ----------
    proc
        The ``/proc`` that shows the processes.
    inherited_bytes
        Memory the first process was forked with: what of it is still shared with the
        interpreter it was forked from is not the run's.
    """

    def __init__(self, proc: Path, inherited_bytes: int):
        self._proc = proc
        self._inherited_bytes = inherited_bytes
        self._known: dict[tuple[int, int], _Known] = {}

    def total(self, found: Sequence[Process], limit: int) -> int:
        """Return the bytes of all together; exact where it is above `limit`.

        Of processes seen for the first time only a few are asked at once; the others
        count nothing yet, unless all could be above the limit.
        """
        self._known = {key: self._known[key] for key in map(_key, found) if key in self._known}
        new = [process for process in found if _key(process) not in self._known]
        for process in (*new[:_NEW_AT_ONCE], *self._due(found)):
            self._ask(process)
        if self._sum(found) > limit:
            for process in sorted(found, key=self._grown, reverse=True):
                self._ask(process)
                if self._sum(found) <= limit:
                    break
        return self._sum([process for process in found if _key(process) in self._known])

    def _sum(self, found: Sequence[Process]) -> int:
        """Return what processes have at most."""
        own = sum(map(self._grown, found))
        known = [self._known[_key(each)].memory for each in found if _key(each) in self._known]
        own += sum(memory.own_bytes for memory in known)
        shared = sum(memory.shared_bytes for memory in known)
        # The interpreter and k copies of it share what was inherited: k of k + 1 parts.
        inherited = self._inherited_bytes * len(known) // (len(known) + 1)
        return own + max(shared - inherited, 0)

    def _grown(self, process: Process) -> int:
        """Return what is resident since the process was asked for; all, if it never was."""
        known = self._known.get(_key(process))
        return max(process.resident_bytes - (known.resident_bytes if known else 0), 0)

    def _due(self, found: Sequence[Process]) -> list[Process]:
        """Return the process that was asked the longest ago, if that is long."""
        if not found:
            return []
        oldest = min(found, key=self._asked_at_s)
        long_ago = self._asked_at_s(oldest) < time.monotonic() - _REFRESH_EVERY_S
        return [oldest] if long_ago else []

    def _asked_at_s(self, process: Process) -> float:
        known = self._known.get(_key(process))
        return math.inf if known is None else known.at_s

    def _ask(self, process: Process) -> None:
        memory = processes.memory_of(self._proc, process)
        self._known[_key(process)] = _Known(memory, process.resident_bytes, time.monotonic())


def _key(process: Process) -> tuple[int, int]:
    return process.pid, process.born
