"""Where the tests run as root, the attacks are also held for a user who has no rights at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOBODY = 65534

# Run as root in a mount namespace: shows a plain user the folders this test needs, though
# they may be below a home only root may enter; then becomes that user.
_BECOME_NOBODY = """
import json, os, sys, tempfile
from mlagent_gym.sandbox.runtime import mounts, system
needed, command, environment, uid = json.loads(sys.argv[1])
system.unshare(system.NEW_MOUNTS)
mounts.make_private()
closed = {}
for path in needed:
    for folder in reversed([path, *map(str, __import__("pathlib").Path(path).parents)]):
        if not os.stat(folder).st_mode & 1:
            closed.setdefault(folder, []).append(path)
            break
for folder, paths in closed.items():
    kept = []
    for path in paths:
        place = tempfile.mkdtemp(dir="/tmp")
        mounts.bind(path, place)
        kept.append((place, path))
    mounts.mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=755")
    for place, path in kept:
        os.makedirs(path, exist_ok=True)
        mounts.bind(place, path)
        mounts.detach(place)
        os.rmdir(place)
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.execve(command[0], command, environment)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mlagent-nobody-", dir="/tmp"))
    os.chown(made, _NOBODY, _NOBODY)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.getuid() != 0, reason="the tests beside this one run as a plain user")
@pytest.mark.parametrize("way", ["warm", "landlock"])
def test_a_plain_user_holds_every_attack(way: str, home: Path) -> None:
    here = Path(__file__).parent
    needed = {sys.prefix, sys.base_prefix, str(here.parents[2])}
    command = [sys.executable, "-m", "pytest", str(here / "test_attacks.py"), "-q"]
    command += ["-k", f"is_held and {way}", "-p", "no:cacheprovider", "--basetemp", str(home / "t")]
    environment = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(here.parents[2])}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _BECOME_NOBODY,
            json.dumps([sorted(needed), command, environment, _NOBODY]),
        ],
        cwd=here.parents[2],
        env={**os.environ, "PYTHONPATH": str(here.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    if "skipped" in done.stdout:
        pytest.skip(f"this kernel has no level {way} for a plain user")
    assert int(passed.group(1)) == len(list((here / "attacks").glob("*.py"))) - 1
