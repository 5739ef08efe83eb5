"""Keeping a preloaded interpreter at hand: started, replaced when worn or dead, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from dataclasses import asdict
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


def answer_of(copy: socket.socket) -> dict[str, Any]:
    """Return what a copy of the interpreter says when it is about to become the script.

    Raises
    ------
    PreparationError
        The copy could not be made ready.
    ShadowedError
        The script must be started cold.
    """
    try:
        answer, _ = wire.receive(copy)
    except ConnectionError as error:
        raise PreparationError("the preloaded interpreter died") from error
    if answer.get("shadowed"):
        raise ShadowedError
    if answer.get("fault"):
        raise PreparationError(answer["fault"])
    return dict(answer)


class Nursery:
    """One preloaded interpreter behind a socket; connections wait while there is none.

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
        self._not_before_s = 0.0
        self._start()

    def look_after(self) -> None:
        """Take note of what the interpreters say, and start one if there is none."""
        for control in (self._serving, self._coming):
            if control is not None and select.select([control], [], [], 0)[0]:
                self._hear(control)
        if self._serving is None and self._coming is None:
            self._start()

    def close(self) -> None:
        """Tell the interpreters to end."""
        self._listening.close()
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
            self._not_before_s = time.monotonic() + _WAIT_AFTER_DEATH_S
            if control is self._serving:
                self._serving = None
            else:
                self._coming = None
            return
        if message.get("ready"):
            if self._serving is not None:
                self._serving.close()  # it ends once its scripts have
            self._serving, self._coming = control, None
        elif message.get("worn") and self._coming is None:
            self._start()

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
        subprocess.Popen(
            [setting.python, "-c", boot, folder, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=setting.environment | HIDDEN | ENVIRONMENT | _ASK_THE_DRIVER,
            pass_fds=(self._listening.fileno(), theirs.fileno()),
            preexec_fn=None if os.getuid() == 0 else system.keep_capabilities_over_exec,
        )
        theirs.close()
        self._coming = ours
