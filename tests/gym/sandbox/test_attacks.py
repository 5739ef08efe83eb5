"""Every attack is held by the executors that confine, and works where nothing confines it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlagent_gym.executor import Executor, Limits, RunStatus
from mlagent_gym.sandbox import SandboxExecutor, make_executor
from mlagent_gym.sandbox.containers import ENGINES
from mlagent_gym.sandbox.levels import closed_to_scripts, trouble_with

ATTACKS = sorted(
    path.stem for path in (Path(__file__).parent / "attacks").glob("*.py") if path.stem != "breach"
)
LIMITS = Limits(
    wall_s=4, memory_mb=300, processes=40, disk_mb=64, files=2000, output_kb=1024, open_files=256
)

# How the attacks that run into a limit must end; the others may end as they like.
STOPPED = {
    "memory_in_one_process": {RunStatus.OUT_OF_MEMORY},
    "memory_in_many_processes": {RunStatus.OUT_OF_MEMORY},
    "disk_in_one_file": {RunStatus.DISK_LIMIT},
    "disk_in_many_files": {RunStatus.DISK_LIMIT},
    "inodes": {RunStatus.DISK_LIMIT, RunStatus.TIMEOUT},  # a busy machine may not get that far
    "output_flood": {RunStatus.OUTPUT_LIMIT},
    "stop_itself": {RunStatus.TIMEOUT},
}

# These tell by what they leave that they worked, not by what they say.
LEAVE_A_PROCESS = {"outlive_the_run", "hold_the_pipes"}


# Where root's scripts may not reach the interpreter, `test_plain_user` lets them.
WAYS = ["warm", "cold", *([] if closed_to_scripts() else ["landlock"]), *ENGINES]


@pytest.fixture(scope="module", params=WAYS)
def confined(
    request: pytest.FixtureRequest, engine_executor: Callable[[str], str]
) -> Iterator[Executor]:
    if request.param == "landlock":
        if trouble := trouble_with("landlock"):
            pytest.skip(f"level landlock: {trouble.splitlines()[-1]}")
        made: Executor = SandboxExecutor("landlock", warm=True)
    elif request.param in ENGINES:
        made = make_executor(engine_executor(request.param))
    else:
        made = make_executor(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_held(attack: str, confined: Executor, victim: Any) -> None:
    victim.prepare(attack)
    by_time = RunStatus.TIMEOUT in STOPPED.get(attack, RunStatus)
    limits = LIMITS if by_time else replace(LIMITS, wall_s=60)  # the other limit comes first
    run = confined.run("train.py", victim.workspace.path, victim.data, limits)
    assert run.output.startswith("the attack begins\n"), run
    assert "BREACH" not in run.output, run.output
    assert run.status in STOPPED.get(attack, RunStatus), run
    assert run.wall_s < limits.wall_s + 10
    assert victim.left_behind() == []
    assert victim.target.poll() is None
    assert "breach" not in run.output, "the attack itself is broken"


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_works_without_the_sandbox(
    attack: str, victim: Any, eventually: Callable[..., bool]
) -> None:
    victim.prepare(attack)
    output = _run_bare(victim.workspace.path)
    if attack in LEAVE_A_PROCESS:
        assert eventually(lambda: len(victim.left_behind()) == 1)
        _end(victim.facts["marker"])
    else:
        assert "BREACH" in output, output[-2000:]


def _run_bare(folder: Path) -> str:
    """Run the script as the user would by hand, and return what it says."""
    said = folder.parent / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "train.py"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            if b"BREACH" in said.read_bytes()[:4096]:
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    text = said.read_bytes()
    said.unlink()
    return text.decode(errors="replace")


def _end(marker: str) -> None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().decode(errors="replace").startswith(marker):
                os.kill(int(path.parent.name), signal.SIGKILL)
