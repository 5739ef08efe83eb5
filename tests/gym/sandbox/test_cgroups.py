"""A run's control group: what is done with the files, and what the kernel makes of it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlagent_gym.executor import Limits, RunStatus
from mlagent_gym.sandbox import SandboxExecutor
from mlagent_gym.sandbox.levels import LEVELS, trouble_with
from mlagent_gym.sandbox.runtime import cgroups, delegation
from mlagent_gym.sandbox.runtime.cgroups import Group
from mlagent_gym.sandbox.runtime.orders import Order

MB = 2**20
CONTROL_FILES = ("cgroup.procs", "cgroup.subtree_control")
RUN_FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.kill")


def _tree(root: Path, own: str, groups: dict[str, dict[str, str]]) -> Path:
    """Make a machine's files: our group, and what stands in the files of each group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"3:cpu:/other\n0::/{own}\n")
    for group, files in groups.items():
        folder = root / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        usual = {"cgroup.controllers": "cpu memory pids", "cgroup.type": "domain"}
        for name, text in (dict.fromkeys(CONTROL_FILES, "") | usual | files).items():
            (folder / name).write_text(text)
    return root / "sys/fs/cgroup"


def test_a_group_with_processes_is_divided_after_they_went_into_a_leaf(tmp_path: Path) -> None:
    top = _tree(tmp_path, "ours", {"ours": {"cgroup.procs": "7\n8\n"}, "": {"cgroup.procs": "1\n"}})
    place = delegation.find(tmp_path)
    assert place == delegation.Place(top / "ours", top / "ours/mlagent-others", is_crowded=True)


def test_the_group_above_is_divided_if_only_groups_are_in_it(tmp_path: Path) -> None:
    top = _tree(tmp_path, "ours/leaf", {"ours": {}, "ours/leaf": {"cgroup.procs": "7\n"}})
    place = delegation.find(tmp_path)
    assert place == delegation.Place(top / "ours", top / "ours/leaf", is_crowded=False)


def test_limits_of_our_own_group_are_not_escaped(tmp_path: Path) -> None:
    leaf = {"cgroup.procs": "7\n", "memory.max": str(100 * MB), "pids.max": "max"}
    top = _tree(tmp_path, "ours/leaf", {"ours": {}, "ours/leaf": leaf})
    place = delegation.find(tmp_path)
    assert place is not None
    assert place.folder == top / "ours/leaf"


def test_the_machines_root_may_have_processes_and_be_divided(tmp_path: Path) -> None:
    top = _tree(tmp_path, "", {"": {"cgroup.procs": "1\n"}})
    (top / "cgroup.type").unlink()
    assert delegation.find(tmp_path) == delegation.Place(top, top, is_crowded=False)


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("ours", {"cgroup.controllers": "hugetlb"}),
        ("ours", {"cgroup.controllers": "cpu memory"}),
        ("ours", {"cgroup.type": "threaded"}),
        ("../ours", {}),
        ("gone", {}),
    ],
)
def test_other_groups_are_not_ours(own: str, files: dict[str, str], tmp_path: Path) -> None:
    _tree(tmp_path, own, {"ours": files, "": {"cgroup.controllers": ""}})
    assert delegation.find(tmp_path) is None
    assert cgroups.claim(tmp_path) is None


def test_where_systemd_runs_only_what_it_delegates_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = _tree(tmp_path, "ours", {"ours": {"cgroup.procs": "7\n"}})
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert delegation.find(tmp_path) is None
    marked = {(top / "ours", "user.delegate"): b"1"}

    def getxattr(path: Path, name: str) -> bytes:
        if (path, name) not in marked:
            raise OSError("no such attribute")
        return marked[path, name]

    monkeypatch.setattr(os, "getxattr", getxattr)
    place = delegation.find(tmp_path)
    assert place is not None
    assert place.folder == top / "ours"


def test_without_control_groups_there_is_none(tmp_path: Path) -> None:
    assert delegation.find(tmp_path) is None
    assert cgroups.claim(tmp_path) is None


def test_what_the_kernel_refuses_leaves_the_other_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A plain folder makes no control files for a new group: the same as a kernel's refusal."""
    top = _tree(tmp_path, "ours", {"ours": {"cgroup.procs": ""}, "": {"cgroup.controllers": ""}})
    assert cgroups.claim(tmp_path) is None
    assert "No such file" in capfd.readouterr().err
    left = [path.name for path in (top / "ours").iterdir() if path.is_dir()]
    assert left == []


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    for name in (*CONTROL_FILES, *RUN_FILES):
        (tmp_path / name).touch()
    descriptor = os.open(tmp_path / "cgroup.procs", os.O_WRONLY)
    yield Group(tmp_path, descriptor)
    os.close(descriptor)


def _order(**given: Any) -> Order:
    plain: dict[str, Any] = {"str": "", "bool": False, "float": 1.0, "int": 1}
    values = {
        field.name: plain.get(str(field.type), {})
        for field in dataclasses.fields(Order)
        if field.default is dataclasses.MISSING
    }
    return Order(**values | given)


@pytest.mark.parametrize(("level", "files_mb"), [("ns", 30), ("landlock", 0)])
def test_files_are_added_to_the_limit_where_they_are_in_memory(
    level: str, files_mb: int, group: Group
) -> None:
    assert group.limit(_order(level=level, memory_mb=200, disk_mb=30, processes=17))
    said = {name: (group.folder / name).read_text() for name in RUN_FILES}
    assert said == {
        "memory.max": str((200 + files_mb + cgroups._KERNEL_MB) * MB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "17",
        "cgroup.kill": "",
    }


def test_a_limit_that_cannot_be_set_is_said(
    group: Group, capfd: pytest.CaptureFixture[str]
) -> None:
    (group.folder / "memory.swap.max").unlink()
    assert group.limit(_order())
    (group.folder / "pids.max").unlink()
    assert not group.limit(_order())
    assert "pids.max" in capfd.readouterr().err


def test_memory_is_that_of_processes_and_shared_memory_without_files(group: Group) -> None:
    stat = f"anon {100 * MB}\nfile {50 * MB}\nkernel {5 * MB}\nshmem {40 * MB}\n"
    (group.folder / "memory.stat").write_text(stat)
    assert group.memory_bytes(0) == 140 * MB
    assert group.memory_bytes(30 * MB) == 110 * MB
    assert group.memory_bytes(60 * MB) == 100 * MB
    assert group.peak_bytes() == 0
    (group.folder / "memory.peak").write_text(f"{300 * MB}\n")
    assert group.peak_bytes() == 245 * MB


@pytest.mark.parametrize(
    ("events", "ran_out"),
    [
        ("low 0\nmax 9\noom 1\noom_kill 3\noom_group_kill 1", True),
        ("max 9\noom 0\noom_kill 1", False),  # ended for the machine's want of memory
        ("max 9\noom 2\noom_kill 0", False),
        ("", False),
    ],
)
def test_only_the_groups_own_limit_makes_a_run_out_of_memory(
    events: str, ran_out: bool, group: Group
) -> None:
    (group.folder / "memory.events").write_text(events)
    assert group.ran_out_of_memory() is ran_out


def test_a_group_says_its_processor_time_and_ends_what_is_in_it(group: Group) -> None:
    assert group.cpu_s() == 0
    (group.folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    assert group.cpu_s() == 1.5
    group.kill()
    assert (group.folder / "cgroup.kill").read_text() == "1"


def test_no_group_is_entered_where_there_is_none(group: Group) -> None:
    cgroups.enter(None)
    cgroups.enter(group.entrance)
    assert (group.folder / "cgroup.procs").read_text() == "0"


# From here on the kernel has the word, where it lets us divide a group.


@pytest.fixture
def delegated() -> None:
    if delegation.find() is None:
        pytest.skip("no control group (version 2, with memory and pids) is ours to divide here")


Divide = Callable[[str], dict[str, Any]]


@pytest.fixture
def divide(delegated: None) -> Divide:
    def divide(what: str) -> dict[str, Any]:
        package = str(Path(cgroups.__file__).parents[1])
        script = Path(__file__).with_name("dividing.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(script), package, what],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        assert said.pop("run is gone")
        assert said.pop("all is gone")
        return said

    return divide


def test_the_kernel_ends_a_process_that_takes_too_much_memory(divide: Divide) -> None:
    said = divide("memory_in_one")
    assert (said["ended by"], said["out of memory"]) == (9, True)
    assert said["peak"] < 50 + cgroups._KERNEL_MB + 1


def test_the_kernel_ends_all_processes_that_take_too_much_together(divide: Divide) -> None:
    assert divide("memory_in_many") == {"ended by": 9, "out of memory": True}


def test_a_peak_between_two_looks_is_seen(divide: Divide) -> None:
    said = divide("memory_below")
    assert (said["status"], said["out of memory"]) == (0, False)
    assert said["peak"] == 0 or 180 < said["peak"] < 240  # Linux 5.19 was the first to say it


def test_the_kernel_refuses_more_processes(divide: Divide) -> None:
    assert divide("processes") == {"most": 10, "ended by": 9}


def test_nobody_leaves_a_group(divide: Divide) -> None:
    assert divide("escape") == {"outlived": True}


def test_processor_time_counts_though_nobody_waits_for_it(divide: Divide) -> None:
    assert divide("processor_time")["cpu_s"] > 0.45


def test_the_next_broker_removes_what_a_killed_one_left(divide: Divide) -> None:
    assert divide("left_behind") == {"kept while it lived": True, "left": True, "swept": True}


@pytest.fixture(params=[(level.name, warm) for level in LEVELS for warm in (True, False)])
def executor(request: pytest.FixtureRequest, delegated: None) -> Iterator[SandboxExecutor]:
    level, warm = request.param
    if trouble := trouble_with(level):
        pytest.skip(f"level {level}: {trouble.splitlines()[-1]}")
    made = SandboxExecutor(level, warm=warm, preload=("json",))
    yield made
    made.close()


def test_a_script_runs_in_a_group_which_is_then_gone(
    executor: SandboxExecutor, tmp_path: Path, eventually: Callable[..., bool]
) -> None:
    for name in ("work", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "work/train.py").write_text(
        "import os\n"
        "child = os.fork()\n"
        "print(open('/proc/self/cgroup').read().split('0::')[1], end='', flush=True)\n"
        "os.wait() if child else 0\n"
    )
    limits = Limits(wall_s=100, memory_mb=200, disk_mb=8)
    run = executor.run("train.py", tmp_path / "work", tmp_path / "data", limits)
    assert run.ok, run
    own, childs = run.output.split()
    assert own == childs
    assert own.rpartition("/")[2].startswith("run-")
    assert eventually(lambda: not Path(f"/sys/fs/cgroup{own}").exists(), 30.0)


def test_a_run_whose_memory_the_kernel_ends_is_out_of_memory(
    executor: SandboxExecutor, tmp_path: Path
) -> None:
    """Far too much at once, so that the kernel is there before the next look."""
    for name in ("work", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "work/train.py").write_text("x = bytes(1) * (1 << 30)\nprint('taken')\n")
    limits = Limits(wall_s=200, memory_mb=100, disk_mb=8)
    run = executor.run("train.py", tmp_path / "work", tmp_path / "data", limits)
    assert run.status is RunStatus.OUT_OF_MEMORY, run
    assert run.reason == "it used more than 100 MB"
    assert run.output == ""
    assert 100 <= run.peak_memory_mb < 100 + 8 + cgroups._KERNEL_MB + 10
