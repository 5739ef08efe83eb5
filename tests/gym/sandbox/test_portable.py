"""Unsafe runs where there is no Linux: what is watched, and that nothing of Linux is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym.executor import Limits, Run, RunStatus
from mlagent_gym.sandbox.portable import PortableExecutor
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=30, memory_mb=1024, disk_mb=64, files=500, output_kb=256)

# Another system, as far as it can be imitated: what only Linux has raises. Libraries are
# imported before, since they choose by the system too.
ELSEWHERE = """
import ctypes, multiprocessing, os, pickle, resource, select, socket, subprocess, sys, tempfile
import gymnasium, numpy, pandas, psutil, sklearn.metrics, typer, rich.console, nbformat

def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir"):
        if str(arguments[0]).startswith(("/proc/", "/sys/")):
            frame = sys._getframe(1)
            while frame is not None and "psutil" not in frame.f_code.co_filename:
                frame = frame.f_back
            if frame is None:  # psutil has means of its own there
                raise FileNotFoundError(arguments[0])
sys.addaudithook(refuse)
sys.platform = "darwin"
gone = [
    (os, "sched_getaffinity"), (os, "pidfd_open"), (os, "unshare"), (os, "setns"),
    (os, "memfd_create"), (os, "getxattr"), (os, "O_PATH"), (os, "O_TMPFILE"), (os, "pipe2"),
    (os, "P_PIDFD"), (socket, "SO_PEERCRED"), (resource, "prlimit"), (select, "epoll"),
]
for module, name in gone:
    if hasattr(module, name):
        delattr(module, name)

import gymnasium as gym
import mlagent_gym
from mlagent_gym.errors import SandboxError

task = mlagent_gym.task_ids()[0]
try:
    gym.make(f"MLAgent/{task}-v0")
except SandboxError as error:
    print("REFUSED", "only Linux" in str(error), "unsafe" in str(error))
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    (tmp_path / "data").mkdir()
    workspace = Workspace(tmp_path / "data", tmp_path)
    executor = PortableExecutor()

    def run(code: str, **limits: float) -> Run:
        workspace.write("train.py", code.encode())
        chosen = replace(LIMITS, **limits)
        return executor.run("train.py", workspace.path, tmp_path / "data", chosen, seed=7)

    yield run
    workspace.close()


def test_a_run_ends_as_under_python(run: Callable[..., Run]) -> None:
    result = run(
        "import os, pathlib\n"
        "print(os.environ['MLAGENT_SEED'], pathlib.Path.cwd(), os.listdir('../input'))\n"
        "open('made', 'wb').write(bytes(3 << 20))\n"
        "import time; time.sleep(2)\n"
        "1 / 0\n"
    )
    lines = result.output.splitlines()
    assert (result.status, result.exit_code) == (RunStatus.ERROR, 1)
    assert lines[0] == "7 /mlagent/work []"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert result.peak_memory_mb > 4
    assert 2.9 < result.written_mb < 4
    assert run("pass").status is RunStatus.OK
    assert run("import os; os.kill(os.getpid(), 9)").status is RunStatus.KILLED


@pytest.mark.parametrize(
    ("code", "limits", "status"),
    [
        ("import time; print('begun'); time.sleep(60)", {"wall_s": 1.5}, RunStatus.TIMEOUT),
        ("while True: pass", {"cpu_s": 0.5, "wall_s": 90}, RunStatus.TIMEOUT),
        (
            "x = bytearray(300 << 20)\nimport time; time.sleep(60)",
            {"memory_mb": 150},
            "out_of_memory",
        ),
        ("while True: print('x' * 1000)", {}, RunStatus.OUTPUT_LIMIT),
        (
            "import time\nwhile True: open('a', 'ab').write(bytes(10**6)); time.sleep(.01)",
            {"disk_mb": 8},
            RunStatus.DISK_LIMIT,
        ),
        (
            "import os, time\nfor i in range(20):\n  if not os.fork(): time.sleep(60)\n"
            "time.sleep(60)",
            {"processes": 8},
            RunStatus.KILLED,
        ),
    ],
)
def test_limits_are_watched(
    run: Callable[..., Run], code: str, limits: dict[str, float], status: str
) -> None:
    began = time.monotonic()
    assert run(code, **limits).status == status
    assert time.monotonic() - began < 50  # the scripts would take a minute, or for ever


def test_children_end_with_the_script(run: Callable[..., Run], tmp_path: Path) -> None:
    result = run(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(90)'],\n"
        "                         start_new_session=True)\n"
        "print(child.pid); time.sleep(3)\n"
    )
    assert result.ok, result
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.output), 0)


def test_another_system_can_do_all_but_confine() -> None:
    code = ELSEWHERE + (
        "env = gym.make(f'MLAgent/{task}-v0', executor='unsafe')\n"
        "env.reset(seed=1)\n"
        "print('RESET')\n"
        "from mlagent_gym.sandbox import make_executor\n"
        "print(type(make_executor('unsafe')).__name__)\n"
        "env.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[:2] == ["REFUSED True True", "RESET"]
    assert "PortableExecutor" in done.stdout
