"""Where the tests run as root, the attacks are also held for a user who has no rights at all.

And where root's checkout lies in a folder that others may not enter, level "landlock" is tried
in a mount namespace where they may.
"""

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

from mlagent_gym.sandbox.containers import IMAGES_ARE_FILES
from mlagent_gym.sandbox.levels import closed_to_scripts

_NOBODY = 65534

# Run as root in a mount namespace: shows any user the folders this test needs, though they
# may be below a home only root may enter; then becomes the user that is asked for.
_LET_IN = """
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
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.getuid() != 0, reason="the tests beside this one run as a plain user")
@pytest.mark.parametrize("way", ["warm", "landlock", *IMAGES_ARE_FILES])
def test_a_plain_user_holds_every_attack(way: str, home: Path) -> None:
    if way in IMAGES_ARE_FILES and shutil.which(way) is None:
        pytest.skip(f"{way} is not installed")
    os.chown(home, _NOBODY, _NOBODY)
    assert _passed(home, _NOBODY, "test_attacks.py", f"is_held and {way}") == _attacks()


@pytest.mark.skipif(not closed_to_scripts(), reason="the tests beside this one try it")
def test_root_holds_every_attack_where_others_may_not_enter(home: Path) -> None:
    assert _passed(home, 0, "test_attacks.py", "is_held and landlock") == _attacks()


@pytest.mark.skipif(not closed_to_scripts(), reason="the tests beside this one try it")
def test_root_gives_devices_where_others_may_not_enter(home: Path) -> None:
    assert _passed(home, 0, "test_gpus.py", "landlock") == 3


@pytest.mark.skipif(os.getuid() != 0, reason="the tests beside this one run as a plain user")
def test_a_plain_user_hides_an_installed_gym_and_its_data(home: Path) -> None:
    os.chown(home, _NOBODY, _NOBODY)
    assert _passed(home, _NOBODY, "test_places.py", "wheel") == 2


@pytest.mark.skipif(not closed_to_scripts(), reason="the tests beside this one try it")
def test_root_hides_an_installed_gym_where_others_may_not_enter(home: Path) -> None:
    assert _passed(home, 0, "test_places.py", "wheel and landlock") == 1


def _attacks() -> int:
    return len(list((Path(__file__).parent / "attacks").glob("*.py"))) - 1


def _passed(home: Path, uid: int, file: str, keyword: str) -> int:
    """Run some of the tests beside this one as a user; return how many passed, if all did."""
    here = Path(__file__).parent
    needed = {sys.prefix, sys.base_prefix, str(here.parents[2])}
    command = [sys.executable, "-m", "pytest", str(here / file), "-q", "-k", keyword]
    command += ["-p", "no:cacheprovider", "--basetemp", str(home / "t")]
    environment = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(here.parents[2])}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _LET_IN,
            json.dumps([sorted(needed), command, environment, uid]),
        ],
        cwd=here.parents[2],
        env={**os.environ, "PYTHONPATH": str(here.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    if "skipped" in done.stdout:
        pytest.skip("this kernel has no such level for this user")
    assert passed is not None, done.stdout
    return int(passed.group(1))
