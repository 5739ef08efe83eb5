"""The kernel's own limits on a process, set just before the script starts."""

from __future__ import annotations

import contextlib
import os
import resource

from .orders import Order

__all__ = ["set_limits"]

_MB = 2**20
_DATA_SLACK_MB = 4096


def set_limits(order: Order, *, processes: int | None) -> None:
    """Limit the calling process and all it will start.

    These are the second line: what a whole tree uses is watched by the warden.

    Parameters
    ----------
    order
        Says how much of each.
    processes
        Most processes and threads of the user id, not only the run's; None: any number.
    """
    with contextlib.suppress(PermissionError):  # only root may be less nice than the broker
        os.setpriority(os.PRIO_PROCESS, 0, order.niceness)
    cpu_s = int(order.cpu_s) + 1
    _lower(resource.RLIMIT_CPU, cpu_s, cpu_s + 2)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, order.open_files)
    _lower(resource.RLIMIT_FSIZE, order.disk_mb * _MB)
    # Far above what is allowed: a single absurd allocation fails instead of the machine.
    _lower(resource.RLIMIT_DATA, (2 * order.memory_mb + _DATA_SLACK_MB) * _MB)
    _lower(resource.RLIMIT_MEMLOCK, _MB)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    _lower(resource.RLIMIT_SIGPENDING, 1024)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    ceiling = resource.getrlimit(kind)[1]
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))
