"""How Docker and Podman are told to run a script in a container of its own."""

from __future__ import annotations

import base64
import inspect
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import container_init
from mlagent_gym.sandbox.runtime import seccomp

__all__ = ["ENGINES", "FIRST", "Box", "run_command"]

ENGINES = ("docker", "podman")

FIRST = ("python3", "-I", "-S", "-c")
"""How the first process of a container begins."""

_FOLDER = "/mlagent"
_END_LATER_S = 30
_MB = 2**20
_PROCESSES_OF_USER = 4096
"""In all containers together; said because Podman would else ask for more than it may."""


@dataclass(frozen=True)
class Box:
    """A container to be."""

    engine: str
    image: str
    name: str
    script: str
    """Relative to `work`."""
    work: Path
    """Shown to the script as its working folder; the only one of ours it may write to."""
    data: Path
    limits: Limits
    environment: Mapping[str, str]
    uid: int
    """Of the script."""
    gpus: tuple[str, ...] = ()
    """Unique ids of those the script gets."""

    @property
    def cpu_s(self) -> float:
        """Processor time of the whole run."""
        cpu_s, wall_s = self.limits.cpu_s, self.limits.wall_s
        return wall_s * (os.cpu_count() or 1) if cpu_s is None else cpu_s

    @property
    def processes(self) -> int:
        """Processes and threads, ours included."""
        return self.limits.processes + 1


def run_command(box: Box) -> list[str]:
    """Return the command that makes the container, runs the script, and hands on its output.

    The container's first process adds our rules for system calls to those of the engine.
    Nothing is fetched from a registry.
    """
    limits = box.limits
    setting = {
        "name": box.name,
        "environment": dict(box.environment),
        "filter": base64.b64encode(seccomp.build(own_view=True)).decode(),
        "end_after_s": math.ceil(limits.wall_s) + _END_LATER_S,
    }
    most = {
        "core": 0,
        "cpu": math.ceil(box.cpu_s) + 1,
        "fsize": limits.disk_mb * _MB,
        "memlock": _MB,
        "nofile": limits.open_files,
        "nproc": _PROCESSES_OF_USER,
    }
    return [
        *(box.engine, "run", "--name", box.name, "--pull", "never", "--log-driver", "none"),
        *("--network", "none", "--hostname", "mlagent"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", f"{box.uid}:{box.uid}", *_user_of_rootless(box)),
        *("--pids-limit", str(box.processes)),
        *("--memory", f"{limits.memory_mb}m", "--memory-swap", f"{limits.memory_mb}m"),
        *(part for name, value in most.items() for part in ("--ulimit", f"{name}={value}:{value}")),
        *("--read-only", *(("--read-only-tmpfs=false",) if box.engine == "podman" else ())),
        *("--tmpfs", f"/tmp:rw,nosuid,nodev,size={limits.disk_mb}m,mode=1777"),
        *("--shm-size", f"{limits.memory_mb}m"),
        *("--mount", f"type=bind,src={box.work},dst={_FOLDER}/work"),
        *("--mount", f"type=bind,src={box.data},dst={_FOLDER}/input,readonly"),
        *("--workdir", f"{_FOLDER}/work"),
        *(("--http-proxy=false",) if box.engine == "podman" else ()),
        *_devices(box),
        *("--entrypoint", FIRST[0], box.image),
        *(*FIRST[1:], inspect.getsource(container_init), json.dumps(setting), box.script),
    ]


def _user_of_rootless(box: Box) -> tuple[str, ...]:
    """Let a plain user's script be that user, so that its files are the user's."""
    return ("--userns", "keep-id") if box.engine == "podman" and os.getuid() else ()


def _devices(box: Box) -> list[str]:
    if not box.gpus:
        return []
    if box.engine == "docker":
        return ["--gpus", f'"device={",".join(box.gpus)}"']
    return [part for name in box.gpus for part in ("--device", f"nvidia.com/gpu={name}")]
