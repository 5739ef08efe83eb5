"""What happens when our own processes die, or whoever asked for a run does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlagent_gym.errors import SandboxError
from mlagent_gym.executor import Executor, Limits, Run
from mlagent_gym.sandbox import SandboxExecutor
from mlagent_gym.sandbox import executor as sandbox_executor
from mlagent_gym.sandbox.environment import script_environment
from mlagent_gym.sandbox.levels import best_level
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=500)
MOST_FORKS = 20


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[SandboxExecutor]:
    """An executor whose processes no other test uses: it alone shows this folder."""
    made = SandboxExecutor(
        best_level(),
        warm=True,
        preload=("json", "numpy"),
        most_forks=MOST_FORKS,
        visible=(str(tmp_path),),
    )
    yield made
    made.close()


@pytest.fixture
def run(mine: SandboxExecutor, tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    (tmp_path / "data").mkdir()
    workspace = Workspace(tmp_path / "data", tmp_path)

    def run(code: str) -> Run:
        workspace.write("train.py", code.encode())
        return mine.run("train.py", workspace.path, tmp_path / "data", LIMITS)

    yield run
    workspace.close()


def test_a_killed_preloaded_interpreter_is_replaced(
    run: Callable[[str], Run], mine: SandboxExecutor
) -> None:
    assert run("print(1)").output == "1\n"
    for process in _below(mine, "launch.zygote"):
        process.kill()
    time.sleep(0.2)
    assert run("print(2)").output == "2\n"


def test_a_killed_broker_is_replaced_and_takes_its_runs_with_it(
    run: Callable[[str], Run], mine: SandboxExecutor, eventually: Callable[..., bool]
) -> None:
    marker = f"left-{os.urandom(8).hex()}"
    failures: list[BaseException] = []

    def long_run() -> None:
        try:
            run(f"import os; os.execv('/bin/sh', ['{marker}', '-c', 'sleep 500; :'])")
        except SandboxError as error:
            failures.append(error)

    thread = threading.Thread(target=long_run)
    thread.start()
    assert eventually(lambda: _named(marker))
    for process in _below(mine, "launch.broker"):
        process.kill()
    thread.join(timeout=120)
    assert len(failures) == 1
    assert eventually(lambda: not _named(marker), within_s=100)  # it would sleep for longer
    assert run("print(3)").output == "3\n"


def test_a_run_ends_when_its_client_is_killed(
    tmp_path: Path, eventually: Callable[..., bool]
) -> None:
    marker = f"left-{os.urandom(8).hex()}"
    (tmp_path / "work").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "work/train.py").write_text(
        f"import os; os.execv('/bin/sh', ['{marker}', '-c', 'sleep 500; :'])"
    )
    code = (
        "import sys; from pathlib import Path\n"
        "from mlagent_gym.executor import Limits\n"
        "from mlagent_gym.sandbox import make_executor\n"
        "top = Path(sys.argv[1])\n"
        "make_executor('cold').run('train.py', top / 'work', top / 'data', Limits(wall_s=500))\n"
    )
    client = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    assert eventually(lambda: _named(marker))
    client.kill()
    client.wait()
    assert eventually(lambda: not _named(marker), within_s=100)  # it would sleep for longer


def test_a_worn_interpreter_is_replaced_without_a_run_failing(
    run: Callable[[str], Run], mine: SandboxExecutor, eventually: Callable[..., bool]
) -> None:
    def serving() -> set[int]:
        return {process.pid for process in _below(mine, "launch.zygote")}

    assert run("print('ok')").output == "ok\n"
    before = serving()
    outputs = {run("print('ok')").output for _ in range(3 * MOST_FORKS)}
    assert outputs == {"ok\n"}
    assert eventually(lambda: not before & serving())  # it ends once its copies have


def test_an_interpreter_that_cannot_live_is_told_of_instead_of_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "deadly.py").write_text(
        "import os, signal, sys\n"
        "print('about to die', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGILL)\n"
    )

    def environment(**given: Any) -> dict[str, str]:
        return script_environment(**given) | {"PYTHONPATH": str(modules)}

    monkeypatch.setattr(sandbox_executor, "script_environment", environment)
    made = SandboxExecutor(best_level(), warm=True, preload=("deadly",))
    try:
        with _workspace() as (work, data):
            (work / "train.py").write_text("print(1)")
            for _ in range(4):  # more than there are cores: each gives its own back
                with pytest.raises(SandboxError, match=r"by SIGILL.*deadly.*'cold'") as caught:
                    made.run("train.py", work, data, LIMITS)
                assert "about to die" in str(caught.value)
    finally:
        made.close()


def test_executors_are_shared_between_threads(run: Callable[[str], Run], mine: Executor) -> None:
    assert run("print(1)").ok
    results: list[str] = []

    def one(number: int) -> None:
        with _workspace() as (work, data):
            (work / "train.py").write_text(f"print({number})")
            results.append(mine.run("train.py", work, data, LIMITS).output)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, results)) == list(range(12))


def test_nothing_is_left_of_a_hundred_runs(
    run: Callable[[str], Run], mine: SandboxExecutor
) -> None:
    endings = ["pass", "1 / 0", "import os; os.kill(os.getpid(), 9)", "import os; os.fork()"]
    for _ in range(3):
        run("pass")
    broker = _below(mine, "launch.broker")[0]

    def standing() -> tuple[int, int, int]:
        mounts = len(Path(f"/proc/{broker.pid}/mounts").read_text().splitlines())
        return len(broker.children(recursive=True)), broker.num_fds(), mounts

    before, ours = _settled(standing), len(list(Path("/proc/self/fd").iterdir()))
    for number in range(100):
        run(endings[number % len(endings)])

    def left() -> int:
        return max(now - then for now, then in zip(standing(), before, strict=True))

    # An ending that leaves something leaves it 25 times; cells that wait may be one more.
    deadline = time.monotonic() + 60
    while left() > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() < 20
    assert len(list(Path("/proc/self/fd").iterdir())) == ours


def _settled(standing: Callable[[], tuple[int, int, int]]) -> tuple[int, int, int]:
    """Return what stands once it has been the same for a while: cells are made beforehand."""
    seen: list[tuple[int, int, int]] = []
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        seen.append(standing())
        time.sleep(0.1)
    return seen[-1]


@contextlib.contextmanager
def _workspace() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as name:
        for part in ("work", "data"):
            (Path(name) / part).mkdir()
        yield Path(name) / "work", Path(name) / "data"


def _below(executor: SandboxExecutor, entry: str) -> list[psutil.Process]:
    """Return the processes of an executor's kind: its broker, or its interpreters."""
    brokers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(executor.kind in word for word in process.info["cmdline"] or ())
        and any("launch.broker" in word for word in process.info["cmdline"])
    ]
    oldest = min(brokers, key=lambda process: process.create_time())
    if entry == "launch.broker":
        return [oldest]
    return [child for child in oldest.children() if any(entry in word for word in child.cmdline())]


def _named(marker: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().decode(errors="replace").startswith(marker):
                found.append(int(path.parent.name))
    return found
