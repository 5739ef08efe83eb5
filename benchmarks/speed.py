"""How fast scripts start, states are restored and steps are taken: ``python -m benchmarks.speed``.

Every figure is a median, and stands beside the floor measured in the same run: a bare
``python``, a bare fork of an interpreter with the same modules, or processes without the
sandbox. Other work on the machine inflates all of them.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import gymnasium as gym
import psutil
import typer
from rich.console import Console
from rich.progress import track

import mlagent_gym
from benchmarks import speed_table
from benchmarks.speed_table import Row
from mlagent_gym.executor import Executor, Limits
from mlagent_gym.sandbox import make_executor
from mlagent_gym.sandbox.preload import PRELOAD
from mlagent_gym.store import Store
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=120)
TRIVIAL = "pass\n"
IMPORTS = "import torch, sklearn.ensemble, pandas\n"
FIRST_LINE = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))\n"
FILES = 50
BARE_FORK = """
import gc, importlib, os, sys, time
sys.path.insert(0, sys.argv[1])
from runtime.huge_pages import use_huge_pages
for name in sys.argv[2].split(","):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
gc.collect(); gc.freeze(); use_huge_pages()
for _ in sys.stdin:
    started = time.perf_counter()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(1000 * (time.perf_counter() - started), flush=True)
"""


def main(
    repeats: Annotated[int, typer.Option(help="Measurements behind each median.")] = 30,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="A Markdown file whose table between the marks is to be replaced."),
    ] = None,
    realtime: Annotated[
        bool,
        typer.Option(help="Go before other work, but with runs in parallel; needs root."),
    ] = False,
) -> None:
    """Measure, print the table, and keep it where that is wanted; 1 if a bar is not held."""
    if write is not None and speed_table.MARKS[0] not in write.read_text(encoding="utf-8"):
        raise typer.BadParameter(f"{write} has no line {speed_table.MARKS[0]!r} to write after.")
    machine = speed_table.machine()  # before we are the load
    if realtime:
        machine["priority"] = "real-time"
    rows = []
    for part in track([starts, parallel, resets, steps, sizes], "measuring", transient=True):
        # Runs on all cores would keep those that watch over them waiting.
        urgent = realtime and part is not parallel
        policy = (os.SCHED_RR, 5) if urgent else (os.SCHED_OTHER, 0)
        os.sched_setscheduler(0, policy[0], os.sched_param(policy[1]))  # all we start has it, too
        with tempfile.TemporaryDirectory(prefix="speed-") as top:
            # In a temp folder of our own, nobody else's scripts share our interpreter and slots.
            os.environ.pop("XDG_RUNTIME_DIR", None)
            tempfile.tempdir = top
            rows += part(repeats)
            tempfile.tempdir = None
    Console(width=110).print(speed_table.to_rich(rows))
    typer.echo(speed_table.describe(machine))
    if json_path is not None:
        figures = [{**asdict(row), "ratio": row.ratio, "held": row.held} for row in rows]
        json_path.write_text(json.dumps({"machine": machine, "rows": figures}, indent=2))
    if write is not None:
        text = speed_table.replaced(write.read_text(encoding="utf-8"), rows, machine)
        write.write_text(text, encoding="utf-8")
    if any(row.held is False for row in rows):
        raise typer.Exit(1)


def starts(repeats: int) -> list[Row]:
    """Measure how long a script takes to start and to end, in each way to run it.

    Each is measured in turn with its floor, so that other work on the machine hits both.
    """
    rows = []
    with _folders() as (work, data), _forking() as fork_ms:
        few = max(repeats // 10, 3)
        for name in ("warm", "cold", "unsafe"):
            (work / "train.py").write_text(TRIVIAL)
            floor_of = fork_ms if name == "warm" else functools.partial(_ms, _bare_python(work))
            with closing(make_executor(name)) as executor:
                run = _runner(executor, work, data)
                run()
                pairs = [(floor_of(), _ms(run)) for _ in range(repeats)]
            floor, ms = (statistics.median(column) for column in zip(*pairs, strict=True))
            what = "bare fork" if name == "warm" else "bare python"
            rows.append(Row(f"{what}, beside {name}", floor, "ms"))
            rows.append(Row(f"{name}, trivial script", ms, "ms", floor))
            if name == "warm":
                over = statistics.median(one - other for other, one in pairs)
                rows.append(Row("warm, trivial, over a bare fork", over, "ms", bar=15))
        (work / "train.py").write_text(IMPORTS + FIRST_LINE)
        bare = statistics.median(_first_line_ms(_bare_python(work)) for _ in range(few))
        rows.append(Row("bare python, imports, to the first line", bare, "ms"))
        for name, count, bar in (("warm", repeats, 40), ("cold", few, None)):
            with closing(make_executor(name)) as executor:
                run = _runner(executor, work, data)
                run()
                ms = statistics.median(_first_line_ms(run) for _ in range(count))
            rows.append(Row(f"{name}, imports, to the first line", ms, "ms", bare, bar))
    return rows


def parallel(repeats: int) -> list[Row]:
    """Measure how many runs a second there are, one after another and on all cores.

    The speed-up of two bare processes stands beside that of two runs, in turn with it: it is
    what the machine had to give at the time.
    """
    cores = os.cpu_count() or 1
    rounds = max(repeats // 10, 3)
    burn = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
    rows = []
    with closing(make_executor("warm")) as executor, ThreadPoolExecutor(2) as threads:

        def sandboxed(_: int) -> None:
            with _folders() as (work, data):
                _run(executor, work, data, burn)

        def bare(_: int) -> None:
            _python(burn)

        def speed_up(one: Callable[[int], None]) -> float:
            alone_s = _seconds(lambda: [one(i) for i in range(4)]) / 4
            return alone_s / (_seconds(lambda: list(threads.map(one, range(8)))) / 8)

        sandboxed(0)
        pairs = [(speed_up(bare), speed_up(sandboxed)) for _ in range(rounds)]
        floor, ratio = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append(Row("two bare processes over one, 0.5 s of work each", floor, "x"))
        rows.append(
            Row("two runs over one, 0.5 s of work each", ratio, "x", floor, 1.9,
                more_is_better=True)
        )  # fmt: skip
    with closing(make_executor("warm")) as executor:
        for count in sorted({1, 2, cores}):
            with ThreadPoolExecutor(count) as threads:
                total_s = _seconds(lambda: _many(executor, threads, TRIVIAL, 60))
            rows.append(Row(f"trivial scripts a second, {count} at a time", 60 / total_s, "/s"))
    return rows


def resets(repeats: int) -> list[Row]:
    """Measure how long restoring a state's files takes, beside data of several sizes."""
    rows = []
    for size_mb in (0, 100, 1024):
        with _folders() as (work, data):
            with (data / "train.bin").open("wb") as file:
                for _ in range(size_mb):
                    file.write(os.urandom(2**10) * 2**10)
            store = Store(work / "store")
            states = [
                {f"f{i}.py": store.put(f"{kind}{i}".encode() * 2000) for i in range(FILES)}
                for kind in "ab"
            ]
            with closing(Workspace(data)) as workspace:
                ms = statistics.median(
                    _ms(lambda: workspace.restore(states[i % 2], store.get))  # noqa: B023
                    for i in range(repeats)
                )
        rows.append(Row(f"restore {FILES} changed files, {size_mb} MB of data", ms, "ms", bar=5))
    return rows


def steps(repeats: int) -> list[Row]:
    """Measure an environment's reset from a state and its steps that run nothing."""
    env = gym.make(f"MLAgent/{mlagent_gym.task_ids()[0]}-v0")
    env.reset(seed=0)
    state = env.unwrapped.state()  # type: ignore[attr-defined]
    action = mlagent_gym.render("List Files", {"dir_path": "."})
    reset_ms = _median_ms(lambda: env.reset(options={"state": state}), repeats)

    def step() -> float:
        env.reset(options={"state": state})
        return _ms(lambda: env.step(action))

    step_ms = statistics.median(step() for _ in range(repeats))
    env.close()
    return [
        Row("env.reset from a state", reset_ms, "ms", bar=5),
        Row("env.step that runs nothing", step_ms, "ms", bar=1),
    ]


def sizes(repeats: int) -> list[Row]:
    """Measure what importing the package and making environments costs."""
    del repeats
    bare_ms = _median_ms(lambda: _python("pass"), 5)
    import_ms = _median_ms(lambda: _python("import mlagent_gym"), 5)
    process = psutil.Process()
    env_id = f"MLAgent/{mlagent_gym.task_ids()[0]}-v0"
    gym.make(env_id).close()
    before = process.memory_info().rss
    envs = [gym.make(env_id) for _ in range(10)]
    for env in envs:
        env.reset(seed=0)
    per_env_mb = (process.memory_info().rss - before) / len(envs) / 2**20
    for env in envs:
        env.close()
    return [
        Row("import mlagent_gym", import_ms, "ms", bare_ms),
        Row("memory of one more environment", per_env_mb, "MB"),
    ]


@contextmanager
def _folders() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as top:
        work, data = Path(top) / "work", Path(top) / "data"
        work.mkdir()
        data.mkdir()
        (Path(top) / "input").symlink_to(data)
        yield work, data


def _run(executor: Executor, work: Path, data: Path, script: str) -> str:
    (work / "train.py").write_text(script)
    run = executor.run("train.py", work, data, LIMITS)
    assert run.ok, run
    return run.output


def _many(executor: Executor, threads: ThreadPoolExecutor, script: str, count: int) -> None:
    def one(_: int) -> None:
        with _folders() as (work, data):
            _run(executor, work, data, script)

    list(threads.map(one, range(count)))


def _runner(executor: Executor, work: Path, data: Path) -> Callable[[], str]:
    """Return what runs the script that is in a workspace."""

    def run() -> str:
        done = executor.run("train.py", work, data, LIMITS)
        assert done.ok, done
        return done.output

    return run


def _first_line_ms(run: Callable[[], str]) -> float:
    started = time.clock_gettime(time.CLOCK_MONOTONIC)
    return 1000 * (float(run()) - started)


def _bare_python(work: Path) -> Callable[[], str]:
    def run() -> str:
        command = [sys.executable, "train.py"]
        return subprocess.run(command, cwd=work, check=True, capture_output=True, text=True).stdout

    return run


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


@contextmanager
def _forking() -> Iterator[Callable[[], float]]:
    """Yield what forks an interpreter with the same modules once, and returns the time."""
    package = Path(mlagent_gym.__file__).parent / "sandbox"
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
    with subprocess.Popen(
        [sys.executable, "-c", BARE_FORK, str(package), ",".join(PRELOAD)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, said = process.stdin, process.stdout

        def fork_ms() -> float:
            asked.write("\n")
            asked.flush()
            return float(said.readline())

        fork_ms()
        yield fork_ms
        asked.close()


def _median_ms(action: Callable[[], object], repeats: int) -> float:
    action()
    return statistics.median(_ms(action) for _ in range(repeats))


def _ms(action: Callable[[], object]) -> float:
    return 1000 * _seconds(action)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    typer.run(main)
