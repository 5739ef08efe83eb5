"""The process that waits for orders, and forks a warden for each."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

from . import confinement, machine, warden, wire
from .cgroups import Groups
from .identities import Identity, Pool
from .kinds import can_wait, prepare_cell
from .nursery import Nursery
from .orders import Order, Setting
from .slots import Demand, Grant, Slots
from .turns import Turns, client_of

__all__ = ["next_of", "serve"]

T = TypeVar("T")

_BACKLOG = 1024
_POLL_S = 1.0
_POLL_WHILE_RUNS_WAIT_S = 0.1  # for what another broker gives back
_WHOLE_WITHIN_S = 5.0
_MOST_SPARES = 2


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A run that was asked for."""

    connection: socket.socket
    client: Hashable
    demand: Demand
    order: Order
    since_s: float


@dataclass(frozen=True, eq=False)
class _Warden:
    """A process that has prepared a cell and waits for an order, or carries one out."""

    pid: int
    control: socket.socket
    identity: Identity


def serve(listening: socket.socket, setting: Setting, groups: Groups | None) -> None:
    """Serve until nobody has been connected for `setting.linger_s`.

    A connection that says nothing is a lease: it keeps the broker alive. One that speaks
    becomes a warden's.

    Parameters
    ----------
    listening
        Bound to the path that clients know.
    setting
        What to serve.
    groups
        Makes control groups for the runs; None: there are none.
    """
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    waking, wake = socket.socketpair()
    for end in (waking, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    confinement.seccomp_program(own_view=setting.level == "ns")  # once, not in every warden
    confinement.real_places(setting.visible, setting.hidden)
    gc.freeze()
    poller = select.poll()
    poller.register(listening, select.POLLIN)
    poller.register(waking, select.POLLIN)
    cores = setting.cores or machine.cores()
    memory_mb = setting.memory_mb or machine.memory_mb()
    slots = Slots(cores, memory_mb, setting.gpus, Path(setting.lock).parent)
    spares = _MOST_SPARES if can_wait(setting) else 0
    pool = Pool(cores + spares, exchange=setting.level == "ns")
    nursery = Nursery(setting) if setting.preload else None
    leases: dict[int, socket.socket] = {}
    wardens: dict[int, _Warden] = {}
    running: dict[int, Grant] = {}
    turns: Turns[_Waiting] = Turns()
    waiting: dict[int, _Waiting] = {}

    def new_warden() -> _Warden:
        """Fork one, which inherits nothing that others wait to see closed."""
        connections = [one.connection for one in turns]
        controls = [warden.control for warden in wardens.values()]
        others = [*leases.values(), *connections, *controls, listening]
        warden = _fork_warden(setting, pool.take(), groups, others)
        wardens[warden.pid] = warden
        return warden

    idle_since = time.monotonic()
    while True:
        timeout_s = _POLL_WHILE_RUNS_WAIT_S if waiting else _POLL_S
        ready = [descriptor for descriptor, _ in poller.poll(timeout_s * 1000)]
        if waking.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                waking.recv(4096)
        for pid, status in _ended():
            if nursery is not None:
                nursery.note_end(pid, status)
            if pid in wardens:
                warden = wardens.pop(pid)
                warden.control.close()
                pool.give_back(warden.identity)
                if groups is not None:
                    groups.remove(pid)
            if pid in running:
                slots.give_back(running.pop(pid))
        if nursery is not None:
            nursery.look_after()
        if groups is not None:
            groups.look_after()
        if listening.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                connection, _ = listening.accept()
                leases[connection.fileno()] = connection
                poller.register(connection, select.POLLIN)
                with contextlib.suppress(wire.ClosedError):
                    wire.send(connection, {"broker": os.getpid()})
        for descriptor in ready:
            if descriptor in leases:
                connection = leases.pop(descriptor)
                poller.unregister(descriptor)
                asked = _hear(connection, slots)
                if asked is None:
                    connection.close()
                else:
                    turns.add(asked.client, asked)
                    waiting[descriptor] = asked
                    poller.register(connection, select.POLLRDHUP)
            elif descriptor in waiting:  # whoever asked has gone
                gone = waiting.pop(descriptor)
                poller.unregister(descriptor)
                turns.drop(gone)
                gone.connection.close()
        while (taken := next_of(turns, slots, lambda one: one.demand)) is not None:
            first, grant = taken
            descriptor = first.connection.fileno()
            poller.unregister(descriptor)
            del waiting[descriptor]
            idle = [warden for warden in wardens.values() if warden.pid not in running]
            chosen = idle[0] if idle else new_warden()
            running[chosen.pid] = grant
            _dispatch(first, grant, chosen)
            first.connection.close()
        while len(wardens) - len(running) < spares:
            new_warden()
        if leases or running or waiting:
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > setting.linger_s and _closed(listening, setting):
            for warden in wardens.values():
                warden.control.close()
            if nursery is not None:
                nursery.close()
            if groups is not None:
                groups.close()
            return


def _hear(connection: socket.socket, slots: Slots) -> _Waiting | None:
    """Return what is asked for; None if nothing is, or if it can never be had."""
    try:
        connection.settimeout(_WHOLE_WITHIN_S)
        message, descriptors = wire.receive(connection)
        for descriptor in descriptors:
            os.close(descriptor)
        demand = Demand(**message["demand"])
        if refusal := slots.refusal(demand):
            wire.send(connection, {"refused": refusal})
            return None
        connection.settimeout(None)
        client = client_of(connection), message["client"]
        order = Order(**message["order"])
    except (wire.ClosedError, TimeoutError):
        return None
    return _Waiting(connection, client, demand, order, time.monotonic())


def next_of(
    turns: Turns[T], slots: Slots, demand_of: Callable[[T], Demand]
) -> tuple[T, Grant] | None:
    """Return who may run now, and what it was given.

    Those that want no graphics processor pass the ones that wait for nothing else.
    """
    gpus_awaited = False

    def give(one: T) -> Grant | None:
        nonlocal gpus_awaited
        demand = demand_of(one)
        if gpus_awaited and demand.gpus:
            return None
        grant = slots.take(demand)
        gpus_awaited |= grant is None and demand.gpus > 0
        return grant

    def waits_for_gpus(one: T) -> bool:
        demand = demand_of(one)
        return demand.gpus > 0 and not slots.is_full_for(demand)

    return turns.take(give, waits_for_gpus)


def _dispatch(run: _Waiting, grant: Grant, warden: _Warden) -> None:
    """Have a warden carry out a run."""
    order = replace(
        run.order,
        devices=grant.devices,
        environment=run.order.environment | grant.environment,
    )
    message = {"order": vars(order), "queued_s": time.monotonic() - run.since_s}
    with contextlib.suppress(wire.ClosedError):  # it has just died; the client will notice
        wire.send(warden.control, message, (run.connection.fileno(),))


def _fork_warden(
    setting: Setting,
    identity: Identity,
    groups: Groups | None,
    others: Iterable[socket.socket],
) -> _Warden:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _be_warden(theirs, setting, identity, groups, [*others, ours])
    theirs.close()
    return _Warden(child, ours, identity)


def _be_warden(
    control: socket.socket,
    setting: Setting,
    identity: Identity,
    groups: Groups | None,
    others: Iterable[socket.socket],
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in others:
            other.close()
        group = None if groups is None else groups.make(os.getpid())
        entrance = None if group is None else group.entrance
        warden.serve(control, functools.partial(prepare_cell, setting, identity, entrance), group)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _ended() -> list[tuple[int, int]]:
    """Collect children that have ended, and how: wardens, interpreters, orphans given to us."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(one)
    return ended


def _closed(listening: socket.socket, setting: Setting) -> bool:
    """Stop listening, unless a client has just come."""
    with open(setting.lock, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if select.select([listening], [], [], 0)[0]:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(listening.getsockname())
        listening.close()
        return True
