"""Finding the machine's broker, or starting it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mlagent_gym.errors import SandboxError
from mlagent_gym.sandbox.runtime import wire
from mlagent_gym.sandbox.runtime.gpus import Gpu
from mlagent_gym.sandbox.runtime.nursery import BOOT
from mlagent_gym.sandbox.visible import interpreter

__all__ = ["BrokerSpec", "connect", "join", "name_of", "runtime_folder"]

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from runtime import launch; launch.broker()"
)
_LINGER_S = 60.0
_START_WITHIN_S = 60.0


@dataclass(frozen=True)
class BrokerSpec:
    """What a broker is for. Clients with equal specs share one."""

    level: str
    python: str
    cores: int = 0
    """How many all runs may take together; 0: as many as there are."""
    memory_mb: int = 0
    """How much all runs may take together; 0: as much as there is."""
    gpus: tuple[Gpu, ...] = ()
    """The machine's graphics processors."""
    environment: tuple[tuple[str, str], ...] = ()
    """What the preloaded interpreter is started with."""
    preload: tuple[str, ...] = ()
    """Modules the preloaded interpreter imports; none: there is no such interpreter."""
    most_forks: int = 5000
    """After so many scripts another preloaded interpreter takes over."""
    visible: tuple[str, ...] = ()
    """Folders scripts may see, beside the system's own."""
    hidden: tuple[str, ...] = ()
    """Folders below these they may not."""


def connect(spec: BrokerSpec) -> socket.socket:
    """Return a connection to the broker of `spec`, which is started if there is none.

    Raises
    ------
    SandboxError
        It cannot be started; the message has what it said.
    """
    folder = runtime_folder()
    name = name_of(spec)
    path, lock_path, log_path = (folder / f"{name}.{end}" for end in ("sock", "lock", "log"))
    if (connection := _try(path)) is not None:
        return connection
    with _locked(lock_path):
        if (connection := _try(path)) is not None:
            return connection
        _start(spec, path, lock_path, log_path)
        if (connection := _try(path)) is not None:
            return connection
    said = log_path.read_text(errors="replace")[-2000:]
    raise SandboxError(f"The sandbox's broker could not be started. See what it said:\n{said}")


def join(lease: socket.socket) -> socket.socket:
    """Return another connection to the broker that a connection leads to.

    Raises
    ------
    SandboxError
        It has died.
    """
    connection = _try(Path(lease.getpeername()))
    if connection is None:
        raise SandboxError("The sandbox's broker has died; try again.")
    return connection


def runtime_folder() -> Path:
    """Return a folder that only we can write to."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(given) if given and os.access(given, os.W_OK) else Path(tempfile.gettempdir())
    folder = parent / f"mlagent-sandbox-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SandboxError(f"{folder} must be a folder that only you can use: remove it.")
    return folder


def name_of(spec: BrokerSpec) -> str:
    """Name the broker after everything that must be equal for sharing it."""
    sources = [
        (path.name, path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted((Path(__file__).parent / "runtime").glob("*.py"))
    ]
    mounts = Path("/proc/self/ns/mnt").stat().st_ino if sys.platform == "linux" else 0
    # A folder that was removed and made again is another: brokers hold on to what they show.
    shown = [(path, Path(path).stat().st_ino) for path in spec.visible if Path(path).exists()]
    text = json.dumps([repr(spec), sources, mounts, shown, interpreter(), sys.prefix])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _try(path: Path) -> socket.socket | None:
    """Return a connection to a broker that answers, or None."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_START_WITHIN_S)
        connection.connect(str(path))
        _, uid, _ = struct.unpack(
            "iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
        if uid != os.getuid():
            connection.close()
            raise SandboxError(f"{path} belongs to another user: remove it.")
        wire.receive(connection)
        connection.settimeout(None)
    except (FileNotFoundError, ConnectionError):
        connection.close()
        return None
    except TimeoutError:
        connection.close()
        raise SandboxError(
            f"The sandbox's broker at {path} does not answer."
            " Try again; if that does not help, remove its folder."
        ) from None
    return connection


def _start(spec: BrokerSpec, path: Path, lock_path: Path, log_path: Path) -> None:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()
    root = path.with_suffix(".root")
    root.mkdir(exist_ok=True)
    options = {
        "listening": listening.fileno(),
        "level": spec.level,
        "root": str(root),
        "lock": str(lock_path),
        "linger_s": _LINGER_S,
        "cores": spec.cores,
        "memory_mb": spec.memory_mb,
        "gpus": [asdict(gpu) for gpu in spec.gpus],
        "python": spec.python,
        "environment": dict(spec.environment),
        "preload": spec.preload,
        "most_forks": spec.most_forks,
        "visible": spec.visible,
        "hidden": spec.hidden,
    }
    boot = BOOT.format(package="runtime", entry="broker")
    command = [interpreter(), "-I", "-S", "-c", boot]
    command += [str(Path(__file__).parent), json.dumps(options)]
    with log_path.open("wb") as log, listening:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            pass_fds=(listening.fileno(),),
            start_new_session=True,
            check=False,
        )
