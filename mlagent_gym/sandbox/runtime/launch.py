"""Entry points of our processes, which are started by ``python -c`` with a line like `BOOT`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

from .gpus import Gpu
from .orders import Setting

__all__ = ["broker", "zygote"]


def broker() -> None:
    """Become a daemon and serve orders; the argument is JSON with a `broker.Setting`."""
    from . import cgroups, system
    from .broker import serve

    options = json.loads(sys.argv[1])
    listening = socket.socket(fileno=options.pop("listening"))
    setting = _setting(options)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # it also serves others than who starts it
    groups = cgroups.claim()  # here all processes can still be seen
    if setting.level == "ns":
        _enter_namespaces()
    if os.fork():
        os._exit(0)  # whoever started us need not reap us
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if setting.level == "ns":
        from . import mounts, view

        system.prctl(system.DUMPABLE, 1)
        mounts.make_private()
        mounts.mount("proc", "/proc", "proc")
        view.build_base(setting.root, setting.visible, setting.hidden)
    serve(listening, setting, groups)


def zygote() -> None:
    """Preload and fork scripts; the argument is JSON with what `zygote.serve` needs."""
    from .zygote import serve

    options = json.loads(sys.argv[1])
    listening = socket.socket(fileno=options["listening"])
    control = socket.socket(fileno=options["control"])
    serve(listening, control, _setting(options["setting"]))


def _setting(options: dict[str, Any]) -> Setting:
    gpus = tuple(Gpu(one["name"], tuple(one["devices"])) for one in options.pop("gpus"))
    for name in ("preload", "visible", "hidden"):
        options[name] = tuple(options[name])
    return Setting(**options, gpus=gpus)


def _enter_namespaces() -> None:
    """Enter namespaces in which we may make others, and which end with their first process."""
    from . import system

    kinds = system.NEW_MOUNTS | system.NEW_PROCESSES
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        system.unshare(kinds)
        return
    system.unshare(kinds | system.NEW_USERS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
