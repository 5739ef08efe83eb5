"""The preloaded interpreter: it imports libraries once, and forks a copy for each script.

It runs no agent's code, starts no computation (a parallel region would not survive the
fork) and never touches a GPU.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import cgroups, confinement, gpus, processes, script, system, view, wire
from .huge_pages import use_huge_pages
from .orders import Order, Setting

__all__ = ["serve"]

_END_WITHIN_S = 20.0
_CELL_BUT_MOUNTS = system.NEW_NETWORK | system.NEW_IPC | system.NEW_HOSTNAME


@dataclass(frozen=True)
class _Past:
    """What was noted before the first fork, so that no copy has to look for it."""

    path: list[str]
    """``sys.path`` but for the script's folder."""
    names: frozenset[str]
    """Top-level modules that were preloaded."""
    own_modules: list[str]
    """Our modules, which a script must not find."""
    setting: Setting
    memory_bytes: int
    """Memory that copies inherit."""
    processes: int
    """Descriptor of our own process namespace."""
    touched_gpu: bool
    """Whether a library has used a graphics processor at import, so that no copy can."""


def serve(listening: socket.socket, control: socket.socket, setting: Setting) -> None:
    """Preload, then fork scripts on request, until the broker closes `control`.

    Says ``{"ready": true}`` on `control` when it can fork, and ``{"worn": true}`` when it
    has forked so often that it should be replaced.
    """
    path = [entry for entry in sys.path if entry not in ("", _own_folder())]
    _preload(setting.preload)
    own_view = setting.level == "ns"
    if not own_view:
        system.prctl(system.SUBREAPER, 1)
    confinement.seccomp_program(own_view=own_view)
    confinement.real_places(setting.visible, setting.hidden)
    waking, wake = socket.socketpair()
    for end in (waking, wake, listening):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    script.forget_for_all()
    gc.collect()
    gc.freeze()
    use_huge_pages()
    past = _Past(
        path=path,
        names=frozenset(map(_top_name, sys.modules)) - {script.OWN_MODULES},
        own_modules=[name for name in sys.modules if _top_name(name) == script.OWN_MODULES],
        setting=setting,
        memory_bytes=_own_memory(),
        processes=os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC),
        touched_gpu=gpus.touched(),
    )
    wire.send(control, {"ready": True})
    children: dict[int, socket.socket] = {}
    poller = select.poll()
    for source in (listening, control, waking):
        poller.register(source, select.POLLIN)
    forks, retiring = 0, False
    while children or not retiring:
        ready = [descriptor for descriptor, _ in poller.poll()]
        if waking.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                waking.recv(4096)
            _report_ended(children, own_view=own_view)
        if control.fileno() in ready:
            retiring = True
            poller.unregister(control)
            poller.unregister(listening)
        elif listening.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                connection, _ = listening.accept()
                _take(connection, children, past)
                forks += 1
                if forks == setting.most_forks:
                    wire.send(control, {"worn": True})


def _top_name(module: str) -> str:
    return module.partition(".")[0]


def _own_memory() -> int:
    (this,) = processes.look(Path("/proc"), [os.getpid()])
    return this.resident_bytes


def _own_folder() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _preload(modules: Iterable[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # not installed here, so no script can import it either
        except Exception:
            traceback.print_exc()  # goes to the log; scripts will see it for themselves


def _take(
    connection: socket.socket,
    children: dict[int, socket.socket],
    past: _Past,
) -> None:
    """Fork a script, or one that waits for its order, as one message asks for."""
    connection.settimeout(10)
    try:
        message, descriptors = wire.receive(connection)
    except (wire.ClosedError, TimeoutError):
        connection.close()
        return
    output, *cell = descriptors
    entrance = cell.pop() if message["has_group"] else None
    order = None if message["order"] is None else Order(**message["order"])
    try:
        if order is not None and _starts_cold(order, past):
            wire.send(connection, {"shadowed": True})
            connection.close()
            return
        if cell:
            system.setns(cell[0], system.NEW_PROCESSES)
        child = os.fork()
        if child == 0:
            cgroups.enter(entrance)
            if order is None:
                init, telling = cell
                _be_spare(message["uid"], connection, output, init, telling, past)
            _be_script(order, message["uid"], connection, output, past)
        if cell:
            system.setns(past.processes, system.NEW_PROCESSES)
        children[child] = connection
    except (OSError, wire.ClosedError) as error:
        with contextlib.suppress(wire.ClosedError):
            wire.send(connection, {"fault": str(error)})
        connection.close()
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _starts_cold(order: Order, past: _Past) -> bool:
    """Whether a copy of us would not do what a new interpreter does."""
    return _shadows(order.workspace, past.names) or (bool(order.devices) and past.touched_gpu)


def _shadows(workspace: str, names: frozenset[str]) -> bool:
    """Whether a file of the workspace is to be imported instead of a preloaded module."""
    return any(entry.partition(".")[0] in names for entry in os.listdir(workspace))


def _report_ended(children: dict[int, socket.socket], *, own_view: bool) -> None:
    """Tell the wardens of scripts that have ended, once what these left has ended too."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            if pid in children:
                cpu_s = used.ru_utime + used.ru_stime
                ended.append((children.pop(pid), {"status": status, "cpu_s": cpu_s}))
    if own_view or not ended:
        outcome = ""
    else:
        outcome = "" if _end_strangers(children) else "what a script left could not be ended"
    for connection, message in ended:
        with contextlib.suppress(wire.ClosedError):
            wire.send(connection, {"fault": outcome} if outcome else message)
        connection.close()


def _end_strangers(children: Mapping[int, object]) -> bool:
    """Kill what has come to be below us without being a script: its script has ended."""

    def direct() -> list[int]:
        return [pid for pid in processes.children(os.getpid()) if pid not in children]

    def strangers() -> list[int]:
        found = direct()
        return found + processes.descendants(*found)

    def bury() -> None:
        for pid in direct():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    return processes.end_all(strangers, within_s=_END_WITHIN_S, bury=bury)


def _be_script(
    order: Order, uid: int, connection: socket.socket, output: int, past: _Past
) -> NoReturn:
    """Become the script."""
    try:
        _leave_interpreter(output, {connection.fileno()})
        script.forget_early()
        system.prctl(system.SUBREAPER, 1)
        os.chdir(order.workspace)
        setting = past.setting
        confinement.confine_by_landlock(order, uid, setting.visible, setting.hidden)()
        script.forget_late(order.environment, order.python, order.script, past.own_modules)
        _say_ready(connection, past)
    except BaseException:
        _fail(connection)
    script.become(order.script, past.path)


def _be_spare(
    uid: int, connection: socket.socket, output: int, init: int, telling: int, past: _Past
) -> NoReturn:
    """Get as ready as can be without an order, wait for one, and become its script.

    Parameters
    ----------
    uid
        Who the script will be.
    connection
        Only the interpreter's: closed here.
    output
        Where the script writes to.
    init
        First process of the cell.
    telling
        Brings the order and takes our answer.
    past
        What the interpreter has noted.
    """
    warden = socket.socket(fileno=telling)
    try:
        connection.close()
        _leave_interpreter(output, {init, telling})
        system.setns(init, _CELL_BUT_MOUNTS)
        script.forget_early()
        try:
            message, _ = wire.receive(warden)
        except wire.ClosedError:
            os._exit(0)
        order = Order(**message)
        if _starts_cold(order, past):
            wire.send(warden, {"shadowed": True})
            os._exit(0)
        system.setns(init, system.NEW_MOUNTS)
        os.close(init)
        os.chdir(view.WORKSPACE)
        confinement.confine_in_namespaces(order, uid)()
        script.forget_late(order.environment, order.python, order.script, past.own_modules)
        _say_ready(warden, past)
    except BaseException:
        _fail(warden)
    script.become(order.script, past.path)


def _leave_interpreter(output: int, kept: set[int]) -> None:
    """Take leave of the session and of all descriptors but the script's own and `kept`."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for low, high in itertools.pairwise((2, *sorted(kept), 2**20)):
        os.closerange(low + 1, high)


def _say_ready(connection: socket.socket, past: _Past) -> None:
    wire.send(connection, {"pid": os.getpid(), "inherited_bytes": past.memory_bytes})
    connection.close()


def _fail(connection: socket.socket) -> NoReturn:
    with contextlib.suppress(wire.ClosedError):
        wire.send(connection, {"fault": traceback.format_exc()})
    os._exit(1)
