"""How container engines are told to run a script in a container of its own."""

from __future__ import annotations

import base64
import inspect
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym.errors import SandboxError
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import container_init
from mlagent_gym.sandbox.runtime import seccomp

__all__ = ["ENGINES", "FIRST", "IMAGES_ARE_FILES", "Box", "run_command"]

ENGINES = ("docker", "podman", "apptainer", "singularity")

IMAGES_ARE_FILES = ("apptainer", "singularity")
"""Engines without a service: an image is a file or folder, a container a tree of processes."""

FIRST = ("python3", "-I", "-S", "-c")
"""How the first process of a container begins."""

_FOLDER = "/mlagent"
_END_LATER_S = 30
_MB = 2**20
_DATA_SLACK_MB = 4096
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
    others: int = 0
    """Processes and threads that the script's user has already."""
    gpus: tuple[str, ...] = ()
    """Unique ids of those the script gets."""

    @property
    def cpu_s(self) -> float:
        """Processor time of the whole run."""
        cpu_s, wall_s = self.limits.cpu_s, self.limits.wall_s
        return wall_s * (os.cpu_count() or 1) if cpu_s is None else cpu_s

    @property
    def scratch(self) -> Path:
        """Folder for the container's temporary files, if its engine is one without limits."""
        return self.work.parent / "scratch"

    @property
    def processes(self) -> int:
        """Processes and threads, ours included."""
        return self.limits.processes + 1


def run_command(box: Box) -> list[str]:
    """Return the command that makes the container, runs the script, and hands on its output.

    The container's first process adds our rules for system calls to those of the engine.
    Nothing is fetched from a registry.
    """
    return _by_apptainer(box) if box.engine in IMAGES_ARE_FILES else _by_docker(box)


def _by_docker(box: Box) -> list[str]:
    limits = box.limits
    most = _most(box) | {"nproc": _PROCESSES_OF_USER}
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
        *_first_process(box, {}),
    ]


def _by_apptainer(box: Box) -> list[str]:
    """Ask for a container without a service or root, whose limits its first process sets."""
    limits = box.limits
    most = _most(box) | {
        "data": (2 * limits.memory_mb + _DATA_SLACK_MB) * _MB,
        "msgqueue": 0,
        "nproc": box.others + box.processes,
    }
    user = () if box.uid == os.getuid() else ("--security", f"uid:{box.uid},gid:{box.uid}")
    return [
        *(box.engine, "exec", "--containall", "--no-home", "--cleanenv", "--no-init"),
        *("--net", "--network", "none", "--hostname", "mlagent", "--no-privs", *user),
        *("--no-mount", "bind-paths,devpts,home,sys,tmp", "--bind", _bind(box.scratch, "/tmp")),
        *("--bind", _bind(box.work, f"{_FOLDER}/work")),
        *("--bind", f"{_bind(box.data, f'{_FOLDER}/input')}:ro"),
        *("--pwd", f"{_FOLDER}/work", box.image, FIRST[0], *_first_process(box, most)),
    ]


def _bind(source: Path, target: str) -> str:
    text = str(source)
    if set(text) & set(":,\\"):
        raise SandboxError(
            f"This engine cannot show a folder with one of ':,\\' in its name: {text!r}. "
            "Give it another name, or have temporary files elsewhere (TMPDIR)."
        )
    return f"{text}:{target}"


def _most(box: Box) -> dict[str, int]:
    """Return the most that a process may have, by the names of its limits."""
    return {
        "core": 0,
        "cpu": math.ceil(box.cpu_s) + 1,
        "fsize": box.limits.disk_mb * _MB,
        "memlock": _MB,
        "nofile": box.limits.open_files,
    }


def _first_process(box: Box, limits: Mapping[str, int]) -> list[str]:
    """Return the arguments of the first process, which sets `limits` for the script."""
    setting = {
        "name": box.name,
        "environment": dict(box.environment),
        "filter": base64.b64encode(seccomp.build(own_view=True)).decode(),
        "end_after_s": math.ceil(box.limits.wall_s) + _END_LATER_S,
        "limits": dict(limits),
        "waits": box.engine in IMAGES_ARE_FILES,
    }
    return [*FIRST[1:], inspect.getsource(container_init), json.dumps(setting), box.script]


def _user_of_rootless(box: Box) -> tuple[str, ...]:
    """Let a plain user's script be that user, so that its files are the user's."""
    return ("--userns", "keep-id") if box.engine == "podman" and os.getuid() else ()


def _devices(box: Box) -> list[str]:
    if not box.gpus:
        return []
    if box.engine == "docker":
        return ["--gpus", f'"device={",".join(box.gpus)}"']
    return [part for name in box.gpus for part in ("--device", f"nvidia.com/gpu={name}")]
