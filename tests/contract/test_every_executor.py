"""What every executor promises, whichever way it runs scripts."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym import notebooks
from mlagent_gym.actions import ExecuteScript
from mlagent_gym.executor import Executor, Limits, Run, RunStatus
from mlagent_gym.sandbox import EXECUTORS, make_executor
from mlagent_gym.sandbox.containers import ENGINES
from mlagent_gym.sandbox.runtime.view import WORKSPACE
from mlagent_gym.steps import Stage, is_corner_case, perform
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=20, memory_mb=1024, disk_mb=64, files=500, output_kb=256)

RunCode = Callable[..., Run]


NAMES = [*(name for name in EXECUTORS if name != "auto"), *ENGINES]


@pytest.fixture(scope="module", params=NAMES)
def executor(
    request: pytest.FixtureRequest, engine_executor: Callable[[str], str]
) -> Iterator[Executor]:
    name = request.param
    made = make_executor(engine_executor(name) if name in ENGINES else name)
    yield made
    made.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_text("id,y\n1,2\n")
    made = Workspace(data, tmp_path)
    yield made
    made.close()


@pytest.fixture
def run(executor: Executor, workspace: Workspace, tmp_path: Path) -> RunCode:
    def run(code: str, seed: int = 0, **limits: float) -> Run:
        workspace.write("train.py", code.encode())
        data = tmp_path / "data"
        return executor.run("train.py", workspace.path, data, replace(LIMITS, **limits), seed=seed)

    return run


def test_a_script_sees_its_workspace_and_its_data(run: RunCode, workspace: Workspace) -> None:
    workspace.write("lib/helper.py", b"ANSWER = 42\n")
    workspace.write("lib/__init__.py", b"")
    result = run(
        "import sys, pathlib, lib.helper\n"
        "print(__name__, sys.argv == ['train.py'], lib.helper.ANSWER)\n"
        "print(pathlib.Path('../input/train.csv').read_text().split())\n"
        "pathlib.Path('submission.csv').write_text('id,y\\n1,2\\n')\n"
        "print(pathlib.Path.cwd(), pathlib.Path(__file__))\n"
    )
    assert result.ok, result
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "__main__ True 42",
        "['id,y', '1,2']",
        f"{WORKSPACE} {WORKSPACE}/train.py",
    ]
    assert workspace.read("submission.csv") == b"id,y\n1,2\n"


def test_a_script_can_change_and_remove_its_own_files(run: RunCode, workspace: Workspace) -> None:
    workspace.write("kept.txt", b"old")
    workspace.write("gone.txt", b"old")
    workspace.write("folder/inner.txt", b"old")
    result = run(
        "import os, shutil\n"
        "open('kept.txt', 'a').write('+new')\n"
        "os.remove('gone.txt'); shutil.rmtree('folder'); os.mkdir('folder')\n"
        "open('folder/made.txt', 'w').write('new')\n"
    )
    assert result.ok, result
    assert workspace.read("kept.txt") == b"old+new"
    assert not workspace.exists("gone.txt")
    assert [entry.name for entry in workspace.entries("folder")] == ["made.txt"]


def test_errors_are_reported_with_their_traceback_and_in_order(run: RunCode) -> None:
    result = run("print('before')\n1 / 0\n")
    assert result.status is RunStatus.ERROR
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == "before"
    assert lines[2] == f'  File "{WORKSPACE}/train.py", line 2, in <module>'
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "output"),
    [
        ("import sys; sys.exit(3)", RunStatus.ERROR, 3, ""),
        ("import sys; sys.exit('said')", RunStatus.ERROR, 1, "said\n"),
        ("raise SystemExit", RunStatus.OK, 0, ""),
        ("import os; os._exit(7)", RunStatus.ERROR, 7, ""),
        ("import os; os.kill(os.getpid(), 9)", RunStatus.KILLED, None, ""),
        ("import os; os.abort()", RunStatus.KILLED, None, ""),
        ("import ctypes; ctypes.string_at(0)", RunStatus.KILLED, None, ""),
        ("import atexit; atexit.register(print, 'bye')", RunStatus.OK, 0, "bye\n"),
        (
            "import threading, time\n"
            "threading.Thread(target=lambda: (time.sleep(.1), print('late'))).start()",
            RunStatus.OK,
            0,
            "late\n",
        ),
        ("print(repr(input()))", RunStatus.ERROR, 1, None),
    ],
)
def test_a_run_ends_as_under_python(
    run: RunCode, code: str, status: RunStatus, exit_code: int | None, output: str | None
) -> None:
    result = run(code)
    assert (result.status, result.exit_code) == (status, exit_code)
    if output is not None:
        assert result.output == output


def test_a_syntax_error_is_shown_where_it_is(run: RunCode) -> None:
    result = run("x = 1\nif x\n")
    assert result.status is RunStatus.ERROR
    assert result.output.splitlines() == [
        f'  File "{WORKSPACE}/train.py", line 2',
        "    if x",
        "        ^",
        "SyntaxError: expected ':'",
    ]


def test_every_run_hashes_alike_and_is_told_its_seed(run: RunCode) -> None:
    code = "import os; print(hash('a'), os.environ['MLAGENT_SEED'])"
    first, second = run(code, seed=1).output.split(), run(code, seed=2).output.split()
    assert (first[1], second[1]) == ("1", "2")
    assert first[0] == second[0]


def test_unseeded_generators_differ_from_run_to_run(run: RunCode) -> None:
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    first, second = run(code).output.split(), run(code).output.split()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_nothing_of_our_environment_is_handed_on(
    run: RunCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hunter2")
    result = run(
        "import os, tempfile\n"
        "print(sorted(k for k in os.environ if 'KEY' in k))\n"
        "print(os.environ['MPLBACKEND'], os.environ['OMP_NUM_THREADS'])\n"
        "open(os.path.join(os.path.expanduser('~'), 'x'), 'w').close()\n"
        "tempfile.NamedTemporaryFile().write(b'x')\n"
    )
    assert result.ok, result
    assert result.output.splitlines() == ["[]", "Agg 1"]


def test_wall_time_is_limited(run: RunCode) -> None:
    started = time.monotonic()
    result = run("print('begun')\nwhile True: pass", wall_s=2)
    assert result.status is RunStatus.TIMEOUT
    assert result.output == "begun\n"
    assert 1.9 < result.wall_s < 10
    assert time.monotonic() - started < 20


def test_processor_time_is_limited(run: RunCode) -> None:
    result = run("while True: pass", cpu_s=0.5)
    assert result.status is RunStatus.TIMEOUT
    assert "processor" in result.reason
    assert result.cpu_s > 0.4


def test_memory_is_limited_in_one_process_and_in_many_together(run: RunCode) -> None:
    one = run("x = bytearray(400 << 20)\nimport time; time.sleep(5)", memory_mb=200)
    many = run(
        "import os, time\n"
        "for i in range(8):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(50 << 20); time.sleep(5); os._exit(0)\n"
        "time.sleep(5)",
        memory_mb=200,
    )
    assert one.status is many.status is RunStatus.OUT_OF_MEMORY
    assert one.peak_memory_mb >= 200


def test_output_is_limited_and_kept_at_both_ends(run: RunCode) -> None:
    flood = run("while True: print('x' * 1000)")
    long = run("print('first')\nfor i in range(5000): print('line', i)\nprint('last')")
    assert flood.status is RunStatus.OUTPUT_LIMIT
    assert len(flood.output) < 40_000
    assert long.ok
    assert long.output.startswith("first\n")
    assert long.output.endswith("last\n")
    assert "bytes of output cut" in long.output


def test_output_that_is_no_text_is_shown_escaped(run: RunCode) -> None:
    result = run("import sys; sys.stdout.buffer.write(b'\\xff\\x00ok')")
    assert result.output == "\\xff\x00ok"


@pytest.mark.parametrize("name", ["SIGXCPU", "SIGXFSZ"])
def test_a_script_cannot_claim_a_limit_it_has_not_reached(run: RunCode, name: str) -> None:
    done = run(
        "import os, signal\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"
        f"os.kill(os.getpid(), signal.{name})\n"
        f"raise SystemExit(128 + signal.{name})\n"
    )
    assert done.status in {RunStatus.KILLED, RunStatus.ERROR}, done
    assert not is_corner_case(done)


def test_a_package_that_is_missing_is_told_from_one_that_is_said_to_be(
    executor: Executor, workspace: Workspace, tmp_path: Path
) -> None:
    def missing(name: str, content: bytes) -> str:
        workspace.write(name, content)
        stage = Stage(workspace, tmp_path / "data", executor, LIMITS, 0, None, previous={})
        return perform(ExecuteScript(script_name=name), stage).missing

    code = "import nowhere_to_be_found"
    assert missing("train.py", code.encode()) == "nowhere_to_be_found"
    assert missing("book.ipynb", notebooks.from_text(code, None)) == "nowhere_to_be_found"
    said = "ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert missing("train.py", f'import sys; sys.exit("{said}")'.encode()) == ""


def test_the_disk_is_limited(run: RunCode) -> None:
    one = run("f = open('a', 'wb')\nwhile True: f.write(bytes(10**6))", disk_mb=8, wall_s=90)
    many = run("for i in range(400): open(f'f{i}', 'wb').write(bytes(10**6))", disk_mb=8, wall_s=90)
    empty = run("for i in range(20_000): open(f'e{i}', 'wb').close()", files=100, wall_s=90)
    assert {one.status, many.status, empty.status} == {RunStatus.DISK_LIMIT}


def test_the_disk_is_limited_where_much_is_there_already(
    run: RunCode, workspace: Workspace
) -> None:
    folder = workspace.path / "old"
    folder.mkdir()
    for number in range(1000):
        (folder / str(number)).touch()
    more = run("for i in range(20_000): open(f'e{i}', 'wb').close()", files=100, wall_s=90)
    large = run("f = open('a', 'wb')\nwhile True: f.write(bytes(10**6))", disk_mb=8, wall_s=90)
    assert {more.status, large.status} == {RunStatus.DISK_LIMIT}


def test_processes_are_limited(run: RunCode) -> None:
    result = run(
        "import os, time\n"
        "while True:\n"
        "    try:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "    except OSError:\n"
        "        print('refused'); break\n",
        processes=20,
    )
    assert result.status is RunStatus.KILLED or result.output == "refused\n"


def test_nothing_a_script_starts_outlives_it(run: RunCode) -> None:
    marker = f"sleep-{time.monotonic_ns()}"
    result = run(
        "import os, signal, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        f"        os.execv('/bin/sh', ['{marker}', '-c', 'sleep 60; echo {marker}'])\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(.2); print('done')\n"
    )
    assert result.ok, result
    assert not _command_lines(marker)


def test_accounting_counts_the_whole_tree(run: RunCode) -> None:
    result = run(
        "import os, time\n"
        "def burn(s):\n"
        "    end = time.process_time() + s\n"
        "    while time.process_time() < end: pass\n"
        "if os.fork() == 0:\n"
        "    x = bytearray(100 << 20); burn(.5); time.sleep(.3); os._exit(0)\n"
        "burn(.2); os.wait(); open('big', 'wb').write(bytes(5 << 20))\n"
    )
    assert result.ok, result
    assert result.cpu_s > 0.65
    assert result.wall_s > 0.75
    assert 95 < result.peak_memory_mb < 300
    assert 4.5 < result.written_mb < 8


def test_an_executor_survives_pickling(executor: Executor, workspace: Workspace) -> None:
    workspace.write("train.py", b"print('hi')")
    copy = pickle.loads(pickle.dumps(executor))
    result = copy.run("train.py", workspace.path, workspace.path.parent / "input", LIMITS)
    copy.close()
    assert result.output == "hi\n"


def _command_lines(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes().decode(errors="replace")
            if text.startswith(marker):
                found.append(text)
    return found
