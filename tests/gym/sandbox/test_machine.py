"""The machine's cores and memory are those of the container we are in, if it has fewer."""

from __future__ import annotations

import os
from pathlib import Path

from mlagent_gym.sandbox.runtime import machine

_GB = 2**30


def _root(folder: Path, groups: str, files: dict[str, str]) -> Path:
    meminfo = f"MemTotal: {16 * 2**20} kB\nMemAvailable: {10 * 2**20} kB\n"
    for path, text in ({"proc/meminfo": meminfo, "proc/self/cgroup": groups} | files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_without_control_groups_all_of_the_machine_is_there(tmp_path: Path) -> None:
    root = _root(tmp_path, "", {})
    assert machine.memory_mb(root) == 16 * 1024
    assert machine.available_memory_mb(root) == 10 * 1024
    assert machine.cores(root) == len(os.sched_getaffinity(0))


def test_a_group_of_version_2_limits_and_so_do_those_above_it(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/slice/own"
    files = {
        f"{group}/cpu.max": "50000 100000",
        f"{group}/memory.max": "max",
        f"{group}/memory.current": str(9 * _GB),
        "sys/fs/cgroup/slice/memory.max": str(4 * _GB),
        "sys/fs/cgroup/slice/memory.current": str(3 * _GB),
        "sys/fs/cgroup/slice/memory.stat": f"anon 5\ninactive_file {_GB}\n",
    }
    root = _root(tmp_path, "0::/slice/own\n", files)
    assert machine.cores(root) == 1
    assert machine.memory_mb(root) == 4 * 1024
    assert machine.available_memory_mb(root) == 2 * 1024


def test_a_group_of_version_1_limits_though_its_path_is_that_outside(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * _GB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(2 * _GB),
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    root = _root(tmp_path, "9:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n", files)
    assert machine.cores(root) == len(os.sched_getaffinity(0))
    assert machine.memory_mb(root) == 2 * 1024
    assert machine.available_memory_mb(root) == 0
