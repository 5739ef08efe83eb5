"""Scripts get the graphics processors they were given, and no others.

No test needs a real one: the driver's facts are files here, and a device that scripts do not
see otherwise stands for a processor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlagent_gym.errors import CapacityError
from mlagent_gym.executor import Limits, Run
from mlagent_gym.sandbox import SandboxExecutor
from mlagent_gym.sandbox.levels import closed_to_scripts, trouble_with
from mlagent_gym.sandbox.runtime import gpus
from mlagent_gym.sandbox.runtime.gpus import Gpu
from mlagent_gym.workspace import Workspace

NODE = "/dev/tty"
# Processors are shared by all runs of one user, so that tests beside this one need other names.
FIRST, SECOND = f"GPU-aa-{os.getpid()}", f"GPU-bb-{os.getpid()}"
MACHINE = (Gpu(FIRST, (NODE,)), Gpu(SECOND, ()))
LOOK = """
import ctypes, json, os, stat, sys
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
started = sys.modules["torch"].cuda.is_initialized() if "torch" in sys.modules else False
try:
    os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    opened = "yes"
except OSError as error:
    opened = error.strerror
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], getenv(b"CUDA_VISIBLE_DEVICES").decode(),
                  opened, started, os.path.isdir("/dev/shm")]))
"""


# Where root's scripts may not reach the interpreter, `test_plain_user` lets them.
LEVELS = ["ns", *([] if closed_to_scripts() else ["landlock"])]


@pytest.fixture(scope="module", params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    if trouble := trouble_with(request.param):
        pytest.skip(f"level {request.param}: {trouble.splitlines()[-1]}")
    return str(request.param)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "data").mkdir()
    with closing(Workspace(tmp_path / "data")) as made:
        yield made


def _run(executor: SandboxExecutor, workspace: Workspace, code: str) -> Run:
    workspace.write("train.py", code.encode())
    data = workspace.path.parent / "input"
    return executor.run("train.py", workspace.path, data, Limits(wall_s=60, memory_mb=512))


@pytest.mark.parametrize("warm", [True, False])
def test_a_script_has_its_own_processors_only(
    level: str, warm: bool, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(count: int, usable: str) -> list[object]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", usable)
        with closing(
            SandboxExecutor(level, warm=warm, preload=("torch",), gpus=count, devices=MACHINE)
        ) as executor:
            run = _run(executor, workspace, LOOK)
        assert run.ok, run
        found: list[object] = json.loads(run.output)
        assert found[0] == found[1]
        return found[1:]

    # That a terminal cannot be opened says that it is there: this process has none.
    there, missing = "No such device or address", {"ns": "No such file or directory"}
    hidden = missing.get(level, "Permission denied")
    assert seen(0, "0,1") == ["", hidden, False, True]
    assert seen(1, "0,1") == [FIRST, there, False, True]
    assert seen(1, "1") == [SECOND, hidden, False, True]
    assert seen(2, "GPU-bb,0") == [f"{SECOND},{FIRST}", there, False, True]


def test_runs_wait_for_a_processor_that_another_has(level: str, workspace: Workspace) -> None:
    with closing(
        SandboxExecutor(level, warm=False, gpus=1, devices=MACHINE[:1], cores=2)
    ) as executor:
        (workspace.path / "train.py").write_text("import time; time.sleep(1)")
        data = workspace.path.parent / "input"
        with ThreadPoolExecutor(2) as threads:
            limits = Limits(wall_s=60, memory_mb=256)
            jobs = [
                threads.submit(executor.run, "train.py", workspace.path, data, limits)
                for _ in range(2)
            ]
            waited_s = sorted(job.result().queued_s for job in jobs)
            walls_s = [job.result().wall_s for job in jobs]
    assert waited_s[1] > 0.9
    assert waited_s[0] < waited_s[1] - 0.5
    assert max(walls_s) < waited_s[1] + 30


def test_more_processors_than_there_are_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with (
        closing(SandboxExecutor("none", warm=False, gpus=2, devices=MACHINE)) as executor,
        pytest.raises(CapacityError, match="2 GPUs it may use, and there are 1"),
    ):
        _run(executor, workspace, "pass")


def test_processors_are_found_by_what_the_driver_says(tmp_path: Path) -> None:
    for slot, uuid, minor in (("0000:01:00.0", "GPU-one", 1), ("0000:41:00.0", "GPU-two", 0)):
        folder = tmp_path / "proc/driver/nvidia/gpus" / slot
        folder.mkdir(parents=True)
        text = f"Model: \t\t NVIDIA\nIRQ:   0\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"
        (folder / "information").write_text(text)
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / "dev" / name).touch()
    dev = str(tmp_path / "dev")
    shared = (f"{dev}/nvidiactl", f"{dev}/nvidia-uvm")
    assert gpus.find(tmp_path) == (
        Gpu("GPU-one", (f"{dev}/nvidia1", *shared)),
        Gpu("GPU-two", (f"{dev}/nvidia0", *shared)),
    )
    (tmp_path / "dev/nvidia1").unlink()  # not in this container
    assert [gpu.name for gpu in gpus.find(tmp_path)] == ["GPU-two"]
    assert gpus.find(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, (FIRST, SECOND)),
        ("", ()),
        ("1,0", (SECOND, FIRST)),
        ("GPU-b", (SECOND,)),
        ("0,7,1", (FIRST,)),
        ("-1", ()),
    ],
)
def test_what_a_process_may_use_is_what_it_was_told(
    visible: str | None, names: tuple[str, ...]
) -> None:
    assert gpus.usable(MACHINE, visible) == names


def test_an_interpreter_that_uses_a_processor_is_told_from_one_that_does_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd/0").symlink_to("/dev/null")
    (tmp_path / "maps").write_text("7f00-7f01 rw-s 00000000 00:06 1  /dev/zero\n")
    assert not gpus.touched(tmp_path)
    (tmp_path / "fd/1").symlink_to("/dev/nvidiactl")
    assert gpus.touched(tmp_path)
    (tmp_path / "fd/1").unlink()
    (tmp_path / "maps").write_text("7f00-7f01 rw-s 00000000 00:06 1  /dev/nvidia0\n")
    assert gpus.touched(tmp_path)
