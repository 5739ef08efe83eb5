"""Run thousands of well and badly behaved scripts, and look for what is left: a soak test.

``python -m benchmarks.soak`` exits with 1 if a run ended as it should not, or if processes,
descriptors, mounts, temporary files, shared memory or control groups are left when all runs are
over, or if the sandbox's memory has grown.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mlagent_gym.executor import Executor, Limits, RunStatus
from mlagent_gym.sandbox import make_executor
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=60.0, memory_mb=128, processes=16, disk_mb=16, files=200, output_kb=64)
SHORT = replace(LIMITS, wall_s=1.0)
"""For scripts that may time out; others must end by themselves, however busy the machine is."""
WARM_UP = 40
GROWTH_MB = 16.0
"""What the broker may grow by: Python's own arenas settle during the first hundreds of runs."""


@dataclass(frozen=True)
class Kind:
    """One sort of script, how often it is run, and how it must end."""

    script: str
    weight: int
    ends: frozenset[RunStatus]

    @property
    def limits(self) -> Limits:
        return SHORT if RunStatus.TIMEOUT in self.ends else LIMITS


def _kind(script: str, weight: int, *ends: RunStatus) -> Kind:
    return Kind(script, weight, frozenset(ends))


KINDS: Mapping[str, Kind] = {
    "ok": _kind("open('submission.csv', 'w').write('id,y')", 64, RunStatus.OK),
    "error": _kind("1 / 0", 16, RunStatus.ERROR),
    "crash": _kind("import ctypes; ctypes.string_at(0)", 8, RunStatus.KILLED),
    "timeout": _kind("while True: pass", 2, RunStatus.TIMEOUT),
    "out of memory": _kind(
        "import time\nx = []\nwhile True: x.append(b'x' * 2**24); time.sleep(.005)",
        2,
        RunStatus.OUT_OF_MEMORY,
        RunStatus.TIMEOUT,  # on a busy machine it may not get that far
    ),
    "fork bomb": _kind(
        "import os\nwhile True: os.fork()",
        2,
        RunStatus.ERROR,
        RunStatus.KILLED,
        RunStatus.OUT_OF_MEMORY,
        RunStatus.OUTPUT_LIMIT,
        RunStatus.TIMEOUT,
    ),
    "daemon": _kind(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait()",
        3,
        RunStatus.OK,
    ),
    "shared memory": _kind("open('/dev/shm/left', 'wb').write(bytes(2**20))", 1, RunStatus.OK),
    "flood": _kind("while True: print('x' * 1000)", 1, RunStatus.OUTPUT_LIMIT),
    "full disk": _kind("open('big', 'wb').write(bytes(2**25))", 1, RunStatus.DISK_LIMIT),
}


def main(
    runs: Annotated[int, typer.Option(help="How many scripts to run.")] = 10_000,
    jobs: Annotated[int, typer.Option(help="How many at a time.")] = os.cpu_count() or 1,
    executor: Annotated[str, typer.Option(help="Name for `make_executor`.")] = "auto",
    seed: Annotated[int, typer.Option(help="Fixes which scripts are run.")] = 0,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the findings as JSON.")
    ] = None,
) -> None:
    """Run the scripts and report how they ended and what is left."""
    names = random.Random(seed).choices(
        list(KINDS), [kind.weight for kind in KINDS.values()], k=runs
    )
    with tempfile.TemporaryDirectory(prefix="soak-") as top, contextlib.ExitStack() as stack:
        # In a temp folder of our own the sandbox's processes are our own, too.
        os.environ.pop("XDG_RUNTIME_DIR", None)
        tempfile.tempdir = top
        made = stack.enter_context(closing(make_executor(executor)))
        _all(made, Path(top), names[:WARM_UP], jobs, "warming up")
        before, before_mb = _at_rest(top), _broker_mb(top)
        started = time.perf_counter()
        endings = _all(made, Path(top), names, jobs, "running")
        seconds = time.perf_counter() - started
        after = _settled(top, before)
        grown_mb = _broker_mb(top) - before_mb
    wrong = {end: n for end, n in endings.items() if end[1] not in KINDS[end[0]].ends}
    table = Table("script", "ended", "runs", title=f"{runs} runs in {seconds:.0f} s")
    for (name, status), count in sorted(endings.items()):
        table.add_row(name, status + ("  WRONG" if (name, status) in wrong else ""), str(count))
    left = Table("what", "before", "after")
    for what in before:
        left.add_row(what, str(before[what]), str(after[what]))
    left.add_row("broker's memory, MB", f"{before_mb:.1f}", f"{before_mb + grown_mb:.1f}")
    more = [what for what in before if after[what] > before[what]]
    if grown_mb > GROWTH_MB:
        more.append("broker's memory")
    clean = not wrong and not more
    Console().print(table, left)
    if clean:
        typer.echo(f"Clean: {runs} runs left nothing.")
    else:
        found_left = ", ".join(more) or "nothing"
        typer.echo(f"NOT CLEAN: {sum(wrong.values())} runs ended wrong; left: {found_left}.")
    if json_path is not None:
        found = {
            "runs": runs,
            "seconds": seconds,
            "clean": clean,
            "endings": [[*end, count] for end, count in sorted(endings.items())],
            "before": before,
            "after": after,
            "broker_grown_mb": grown_mb,
        }
        json_path.write_text(json.dumps(found, indent=2))
    if not clean:
        raise typer.Exit(1)


def _all(
    executor: Executor, top: Path, names: list[str], jobs: int, title: str
) -> Counter[tuple[str, str]]:
    def one(name: str) -> tuple[str, str]:
        with closing(Workspace(top, top)) as workspace:
            workspace.write("train.py", KINDS[name].script.encode())
            run = executor.run("train.py", workspace.path, top, KINDS[name].limits)
            workspace.snapshot(lambda content: str(len(content)))
        progress.advance(task)
        return name, run.status

    with Progress(transient=True) as progress, ThreadPoolExecutor(jobs) as threads:
        task = progress.add_task(title, total=len(names))
        return Counter(threads.map(one, names))


def _standing(top: str) -> dict[str, int]:
    """Return counts of what a run could leave on the machine."""
    ours = _ours(top)
    return {
        "processes of the sandbox": len(ours),
        "descriptors of the sandbox": sum(map(_descriptors, ours)),
        "descriptors of this process": psutil.Process().num_fds(),
        "mounts of the sandbox": sum(_lines(f"/proc/{process.pid}/mounts") for process in ours),
        "temporary files": len(list(Path(top).rglob("*"))),
        "shared memory files": len(list(Path("/dev/shm").glob("left*"))),
        "control groups": _control_groups(),
    }


def _ours(top: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(top in word for word in process.info["cmdline"] or ())
    ]


def _broker_mb(top: str) -> float:
    """Return the memory of the oldest of our processes, which forks all the others."""
    oldest = min(_ours(top), key=lambda process: process.create_time())
    return float(oldest.memory_info().rss / 2**20)


def _control_groups() -> int:
    """Count those of ours: others make and remove theirs meanwhile."""
    return sum(1 for _ in Path("/sys/fs/cgroup").rglob("mlagent-*"))


def _at_rest(top: str) -> dict[str, int]:
    """Return the counts once they have stayed the same for a while."""
    before: dict[str, int] = {}
    while (now := _standing(top)) != before:
        before = now
        time.sleep(2)
    return before


def _settled(top: str, before: dict[str, int]) -> dict[str, int]:
    """Return the counts once they are as before, or after a while."""
    deadline = time.monotonic() + 30
    while (after := _standing(top)) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    return after


def _descriptors(process: psutil.Process) -> int:
    try:
        return process.num_fds()
    except psutil.Error:
        return 0


def _lines(path: str) -> int:
    try:
        return len(Path(path).read_text().splitlines())
    except OSError:
        return 0


if __name__ == "__main__":
    typer.run(main)
