"""The first process of a container: it starts the script, buries orphans, ends with the script.

Its text is given to the interpreter of the image, which may be older than ours. The script can
neither stop, kill nor trace it; when it ends, so does everything else in the container.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, Dict, List, NoReturn  # noqa: UP035 - for old interpreters

READY = b"\0"
"""Said before the script starts: what comes after it is the script's."""
BY_SIGNAL = 128
"""Exit codes above it mean the signal that ended the script."""

_DUMPABLE = 4


def main() -> NoReturn:
    """Run the script named by the arguments: its setting as JSON, then its path."""
    setting: Dict[str, Any] = json.loads(sys.argv[1])  # noqa: UP006
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    environment.update(setting["environment"])
    # Neither what we were started with nor our memory is for a script of the same user.
    ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)
    # Should whoever watches this container be gone, it must end all the same.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(BY_SIGNAL + signal.SIGKILL))
    signal.alarm(setting["end_after_s"])
    os.write(1, READY)
    script = os.fork()
    if script == 0:
        _become([sys.executable, sys.argv[2]], environment)
    while True:
        ended, status = os.wait()
        if ended == script:
            _report()
            by_signal = os.WIFSIGNALED(status)
            os._exit(BY_SIGNAL + os.WTERMSIG(status) if by_signal else os.WEXITSTATUS(status))


def _report() -> None:
    """Say where the script cannot write what it used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {"oom_kills": _oom_kills(), "cpu_s": used.ru_utime + used.ru_stime}
    os.write(2, b"\n" + json.dumps(report).encode() + b"\n")


def _oom_kills() -> int:
    """Return how many processes of the container were ended for want of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        if os.path.exists(path):  # noqa: PTH110
            with open(path) as file:  # noqa: PTH123
                return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    return 0


def _become(command: List[str], environment: Dict[str, str]) -> NoReturn:  # noqa: UP006
    try:
        os.setsid()
        signal.alarm(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(1, 2)  # one stream keeps output and errors in order
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        os.execve(command[0], command, environment)
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
