"""Keeping a preloaded interpreter at hand: started, replaced when worn or dead, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import system, wire
from .cells import PreparationError
from .gpus import HIDDEN
from .huge_pages import ENVIRONMENT
from .orders import Order, Setting

__all__ = ["BOOT", "Nursery", "ShadowedError", "answer_of", "request_fork"]

BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from {package} import launch; "
    "launch.{entry}()"
)
_WAIT_AFTER_DEATH_S = 1.0
_STILLBORN = 3
"""After so many deaths in a row before it could fork, runs are told instead of kept waiting."""
_WAIT_WHEN_STILLBORN_S = 30.0
_LOOK_EVERY_S = 0.5
_READY_WITHIN_S = 600.0
_SAID_CHARS = 1000
_DO_WITHOUT = "give it more memory, or do without it: choose the executor 'cold'"
_ASK_THE_DRIVER = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Lets libraries count graphics processors at import without starting to use one."""


class ShadowedError(Exception):
    """The script has a module of its own by the name of a preloaded one."""


def request_fork(
    zygote: str,
    order: Order | None,
    uid: int,
    descriptors: tuple[int, ...],
    entrance: int | None,
) -> socket.socket:
    """Ask the preloaded interpreter for a copy of itself that becomes a script.

    Parameters
    ----------
    zygote
        Address of its socket.
    order
        The run; None: the copy is told later.
    uid
        Who the script will be.
    descriptors
        Where the script writes to; and for a cell of its own that cell's first process, and
        a connection that will bring the order and take the copy's answer.
    entrance
        Descriptor of the control group that the copy shall enter; None: it stays where it is.

    Returns
    -------
    socket.socket
        A connection that will bring the script's wait status, and before that the copy's
        answer if it has no connection of its own.

    Raises
    ------
    PreparationError
        There is no preloaded interpreter.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(zygote)
        asked = {
            "order": None if order is None else vars(order),
            "uid": uid,
            "has_group": entrance is not None,
        }
        wire.send(connection, asked, (*descriptors, *(() if entrance is None else (entrance,))))
    except ConnectionError as error:
        connection.close()
        raise PreparationError("the preloaded interpreter died") from error
    return connection


def answer_of(copy: socket.socket, zygote: str) -> dict[str, Any]:
    """Return what a copy of the interpreter says when it is about to become the script.

    Parameters
    ----------
    copy
        Connection to it, or to where it will come from.
    zygote
        Address of the interpreter's socket.

    Raises
    ------
    PreparationError
        The copy could not be made ready.
    ShadowedError
        The script must be started cold.
    """
    deadline_s = time.monotonic() + _READY_WITHIN_S
    while not select.select([copy], [], [], _LOOK_EVERY_S)[0]:
        with contextlib.suppress(FileNotFoundError):
            raise PreparationError(_trouble(zygote).read_text())
        if time.monotonic() > deadline_s:
            raise PreparationError(
                f"the preloaded interpreter was not ready within {_READY_WITHIN_S:g} s; "
                f"{_DO_WITHOUT}"
            )
    try:
        answer, _ = wire.receive(copy)
    except ConnectionError as error:
        raise PreparationError("the preloaded interpreter died") from error
    if answer.get("shadowed"):
        raise ShadowedError
    if answer.get("fault"):
        raise PreparationError(answer["fault"])
    return dict(answer)


def _trouble(zygote: str) -> Path:
    """Return the file that says why there is no preloaded interpreter; if it exists, none is."""
    return Path(f"{zygote}.trouble")


class Nursery:
    """One preloaded interpreter behind a socket; connections wait while there is none.

    If it dies again and again before it can fork, killed for its memory, say, a file beside
    the socket tells those that wait, until one lives.

    Parameters
    ----------
    setting
        What the broker was started for.
    """

    def __init__(self, setting: Setting):
        self._setting = setting
        path = setting.zygote
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listening.listen(1024)
        self._path = path
        self._serving: socket.socket | None = None
        self._coming: socket.socket | None = None
        self._coming_pid = 0
        self._stillborn = 0
        self._last_end = ""
        self._not_before_s = 0.0
        self._trouble = _trouble(path)
        self._trouble.unlink(missing_ok=True)
        self._start()

    def look_after(self) -> None:
        """Take note of what the interpreters say, and start one if there is none."""
        for control in (self._serving, self._coming):
            if control is not None and select.select([control], [], [], 0)[0]:
                self._hear(control)
        if self._serving is None and self._coming is None:
            self._start()

    def note_end(self, pid: int, status: int) -> None:
        """Take note of a child of the broker that has ended."""
        if pid == self._coming_pid:
            signalled = os.WIFSIGNALED(status)
            number = os.WTERMSIG(status) if signalled else os.waitstatus_to_exitcode(status)
            known = signalled and number in set(signal.Signals)
            name = signal.Signals(number).name if known else str(number)
            self._last_end = f"by {name}" if signalled else f"with exit status {name}"

    def close(self) -> None:
        """Tell the interpreters to end."""
        self._listening.close()
        self._trouble.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        for control in (self._serving, self._coming):
            if control is not None:
                control.close()

    def _hear(self, control: socket.socket) -> None:
        try:
            message, _ = wire.receive(control)
        except wire.ClosedError:
            control.close()
            wait_s = _WAIT_AFTER_DEATH_S
            if control is self._serving:
                self._serving = None
            else:
                self._coming = None
                self._stillborn += 1
                if self._stillborn >= _STILLBORN:
                    self._tell()
                    wait_s = _WAIT_WHEN_STILLBORN_S
            self._not_before_s = time.monotonic() + wait_s
            return
        if message.get("ready"):
            self._stillborn = 0
            self._trouble.unlink(missing_ok=True)
            if self._serving is not None:
                self._serving.close()  # it ends once its scripts have
            self._serving, self._coming = control, None
        elif message.get("worn") and self._coming is None:
            self._start()

    def _tell(self) -> None:
        """Say why there is no interpreter, to those that wait for one."""
        if self._serving is not None:
            return
        said = ""
        with contextlib.suppress(OSError):
            said = Path(self._setting.lock).with_suffix(".log").read_text(errors="replace").strip()
        text = (
            f"the preloaded interpreter ended {self._last_end} while it imported "
            f"{', '.join(self._setting.preload)}, {self._stillborn} times in a row; {_DO_WITHOUT}"
        )
        if said:
            text += f". The end of what it said: {said[-_SAID_CHARS:]}"
        temporary = self._trouble.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self._trouble)

    def _start(self) -> None:
        if time.monotonic() < self._not_before_s:
            return
        ours, theirs = socket.socketpair()
        setting = self._setting
        options = {
            "listening": self._listening.fileno(),
            "control": theirs.fileno(),
            "setting": asdict(setting),
        }
        package = __name__.partition(".")[0]
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        boot = BOOT.format(package=package, entry="zygote")
        started = subprocess.Popen(
            [setting.python, "-c", boot, folder, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=setting.environment | HIDDEN | ENVIRONMENT | _ASK_THE_DRIVER,
            pass_fds=(self._listening.fileno(), theirs.fileno()),
            preexec_fn=None if os.getuid() == 0 else system.keep_capabilities_over_exec,
        )
        theirs.close()
        self._coming, self._coming_pid = ours, started.pid
