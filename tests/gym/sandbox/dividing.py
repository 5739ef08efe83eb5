"""What `test_cgroups` does with control groups, in a process of its own: it moves itself.

Started as ``python dividing.py FOLDER NAME``, with the folder of the package ``runtime``;
prints what came of it as JSON.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])

from runtime import cgroups

MB = 2**20
LONG_S = 600


def order(**limits):
    """Return as much of an order as a group asks for."""
    given = {"level": "none", "memory_mb": 100, "disk_mb": 10, "processes": 20} | limits
    assert {field.name for field in fields(cgroups.Order)} >= set(given)
    return SimpleNamespace(**given)


def main(name):
    """Make a group, do something in it, and say what came of it and what is left."""
    groups = cgroups.claim()
    group = groups.make(os.getpid())
    said = globals()[name](group)
    groups.remove(os.getpid())
    while groups._dying:
        groups.look_after()
        time.sleep(0.01)
    folder = group.folder.parent
    said["run is gone"] = not group.folder.exists()
    groups.close()
    print(json.dumps(said | {"all is gone": not folder.exists()}))


def inside(group, body):
    """Run a function in a child that is in the group; return the child."""
    child = os.fork()
    if child == 0:
        try:
            cgroups.enter(group.entrance)
            body()
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child


def take_much(megabytes):
    kept = bytearray(megabytes * MB)
    kept[::4096] = b"x" * len(kept[::4096])
    return kept


def memory_in_one(group):
    group.limit(order(memory_mb=50))
    child = inside(group, lambda: take_much(400))
    status = os.waitpid(child, 0)[1]
    return {
        "ended by": os.WTERMSIG(status),
        "out of memory": group.ran_out_of_memory(),
        "peak": group.peak_bytes() // MB,
    }


def memory_in_many(group):
    """Take in each process less than is allowed; all must end together."""
    group.limit(order(memory_mb=50, processes=60))

    def body():
        for _ in range(12):
            if os.fork() == 0:
                kept = take_much(20)
                time.sleep(LONG_S)
                os._exit(len(kept) % 2)
        time.sleep(LONG_S)

    status = os.waitpid(inside(group, body), 0)[1]
    return {"ended by": os.WTERMSIG(status), "out of memory": group.ran_out_of_memory()}


def memory_below(group):
    """Take less than the limit for a moment, between two looks."""
    group.limit(order(memory_mb=300))
    status = os.waitpid(inside(group, lambda: take_much(200)), 0)[1]
    return {
        "status": status,
        "out of memory": group.ran_out_of_memory(),
        "peak": group.peak_bytes() // MB,
    }


def processes(group):
    group.limit(order(processes=10))
    reading, writing = os.pipe()

    def body():
        started = 1
        with contextlib.suppress(OSError):
            while started < 100:
                if os.fork() == 0:
                    time.sleep(LONG_S)
                started += 1
        os.write(writing, str(started).encode())
        time.sleep(LONG_S)

    child = inside(group, body)
    most = int(os.read(reading, 10))
    group.kill()
    return {"most": most, "ended by": os.WTERMSIG(os.waitpid(child, 0)[1])}


def escape(group):
    """Leave the session and the parent, and ignore signals; the group is not left."""
    group.limit(order())

    def body():
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(LONG_S)
            os._exit(0)
        os.wait()

    os.waitpid(inside(group, body), 0)
    before = (group.folder / "cgroup.events").read_text()
    return {"outlived": "populated 1" in before}


def processor_time(group):
    """Use processor time in a process that nobody of ours waits for."""
    group.limit(order())

    def body():
        if os.fork() == 0:
            if os.fork() == 0:
                while time.process_time() < 0.5:
                    pass
            os._exit(0)
        os.wait()

    os.waitpid(inside(group, body), 0)
    deadline = time.monotonic() + LONG_S
    while "populated 1" in (group.folder / "cgroup.events").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return {"cpu_s": group.cpu_s()}


def left_behind():
    """Have a broker killed whose run goes on; the next removes its groups."""
    reading, writing = os.pipe()
    broker = os.fork()
    if broker == 0:
        groups = cgroups.claim()
        other = groups.make(os.getpid())
        # A program of its own, that does not inherit the lock.
        code = f"import os, time; os.write({writing}, b' '); time.sleep({LONG_S})"
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            pass_fds=(writing,),
            preexec_fn=lambda: cgroups.enter(other.entrance),
            start_new_session=True,
        )
        os.write(writing, str(other.folder.parent).encode())
        time.sleep(LONG_S)
    os.close(writing)
    said = b""
    while not said.endswith(b" "):
        said += os.read(reading, 1000)
    left = Path(said.decode().strip())
    kept_while_it_lived = _sweeps() and left.exists()
    os.kill(broker, signal.SIGKILL)
    os.waitpid(broker, 0)
    run_left = left / f"run-{broker}"
    was_left = run_left.exists()
    swept = _sweeps() and not left.exists()
    print(
        json.dumps(
            {
                "kept while it lived": kept_while_it_lived,
                "left": was_left,
                "swept": swept,
                "run is gone": not run_left.exists(),
                "all is gone": not left.exists(),
            }
        )
    )


def _sweeps():
    """Let another broker come and go."""
    child = os.fork()
    if child == 0:
        cgroups.claim().close()
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    if sys.argv[2] == "left_behind":
        left_behind()  # brokers start beside each other, not one within the group of another
    else:
        main(sys.argv[2])
