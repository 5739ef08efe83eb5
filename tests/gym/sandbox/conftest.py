"""Somebody to attack, and the attacks."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mlagent_gym
from mlagent_gym.workspace import Workspace

ATTACKS = Path(__file__).parent / "attacks"
BEGUN = "the attack begins"
_SHM_KEY_BASE = 0x4D4C0000
_EXCLUSIVELY = 0o2000


@dataclass(frozen=True)
class Victim:
    """Things of ours that a script must not reach, and a workspace to attack from."""

    facts: dict[str, Any]
    workspace: Workspace
    data: Path
    target: subprocess.Popen[bytes]

    def prepare(self, attack: str) -> None:
        """Put an attack into the workspace as its script."""
        code = (ATTACKS / f"{attack}.py").read_bytes()
        self.workspace.write("train.py", f"print({BEGUN!r}, flush=True)\n".encode() + code)
        self.workspace.write("breach.py", (ATTACKS / "breach.py").read_bytes())
        self.workspace.write("victim.json", json.dumps(self.facts).encode())

    def left_behind(self) -> list[str]:
        """Return the command lines of processes an attack has left."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text.startswith(self.facts["marker"]):
                found.append(text)
        return found


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    _let_others_through(tmp_path)
    word = f"secret-{os.urandom(8).hex()}"
    for folder in ("private", "home", "other/work", "data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "private/labels.csv").write_text(word)
    (tmp_path / "home/.netrc").write_text(word)
    (tmp_path / "other" / "work" / "train.py").write_text(word)
    (tmp_path / "data/train.csv").write_text("id,y\n1,2\n3,4\n")
    shm = Path(f"/dev/shm/mlagent-test-{os.urandom(4).hex()}")
    shm.write_text(word)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    segment = -1
    while segment < 0:  # another test process, or one that was killed, may have this key
        key = _SHM_KEY_BASE + secrets.randbelow(2**16)
        segment = libc.shmget(key, 4096, 0o1666 | _EXCLUSIVELY)
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, word.encode(), len(word))
    target = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"],
        env={"SECRET": word},
        start_new_session=True,
    )
    abstract = f"mlagent-test-{os.urandom(4).hex()}"
    listening = [
        _listening(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "s")),
        _listening(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        _listening(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "d")),
        _listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
    ]
    workspace = Workspace(tmp_path / "data", tmp_path)
    facts = {
        "word": word,
        "labels": str(tmp_path / "private/labels.csv"),
        "home": str(tmp_path / "home"),
        "other": str(tmp_path / "other"),
        "project": str(Path(mlagent_gym.__file__).parent.parent),
        "pid": os.getpid(),
        "target": target.pid,
        "socket": str(tmp_path / "s"),
        "datagrams": str(tmp_path / "d"),
        "abstract": abstract,
        "port": listening[-1].getsockname()[1],
        "shm": shm.name,
        "sysv": key,
        "marker": f"left-{os.urandom(8).hex()}",
    }
    yield Victim(facts, workspace, tmp_path / "data", target)
    workspace.close()
    for one in listening:
        one.close()
    target.kill()
    target.wait()
    shm.unlink()
    libc.shmdt(ctypes.c_void_p(address))
    libc.shmctl(segment, 0, None)


def _let_others_through(folder: Path) -> None:
    """Let root's scripts, which are another user, get to a folder: no mode shall hold them."""
    for each in (folder, *folder.parents):
        if each.stat().st_mode & 0o001:
            return
        each.chmod(each.stat().st_mode | 0o011)


def _listening(family: int, kind: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    def eventually(holds: Callable[[], bool], within_s: float = 60.0) -> bool:
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return eventually
