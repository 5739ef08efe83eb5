"""The first process of a container: it starts the script, buries orphans, ends with the script.

Its text is given to the interpreter of the image, which may be older than ours. The script can
neither stop, kill nor trace it; when it ends, so does everything else in the container.
"""

import base64
import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import Any, Dict, List, NoReturn  # noqa: UP035 - for old interpreters

READY = b"\0"
"""Said before the script starts: what comes after it is the script's."""
BY_SIGNAL = 128
"""Exit codes above it mean the signal that ended the script."""

_DUMPABLE, _SECCOMP, _BY_FILTER = 4, 22, 2
_LOOK_EVERY_S = 0.1
_MESSAGES = 12  # RLIMIT_MSGQUEUE, which old interpreters do not name
_OF_ENGINES = ("APPTAINER_", "SINGULARITY_", "PROMPT_COMMAND", "PS1")


def main() -> NoReturn:
    """Run the script named by the arguments: its setting as JSON, then its path."""
    setting: Dict[str, Any] = json.loads(sys.argv[1])  # noqa: UP006
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(_OF_ENGINES)
    }
    environment.update(setting["environment"])
    _confine(base64.b64decode(setting["filter"]))
    end_s = time.monotonic() + setting["end_after_s"]

    def look(*_: object) -> None:
        """End all when memory ran out, of which the kernel ends but one process."""
        # Should whoever watches this container be gone, it must end all the same.
        if _oom_kills() or time.monotonic() > end_s:
            _report()
            os._exit(BY_SIGNAL + signal.SIGKILL)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
    os.write(1, READY)
    if setting["waits"] and not os.read(0, 1):
        os._exit(1)  # whoever was to watch the script has gone
    script = os.fork()
    if script == 0:
        _become([sys.executable, sys.argv[2]], environment, setting["limits"])
    while True:
        ended, status = os.wait()
        if ended == script:
            _report()
            by_signal = os.WIFSIGNALED(status)
            os._exit(BY_SIGNAL + os.WTERMSIG(status) if by_signal else os.WEXITSTATUS(status))


def _confine(program: bytes) -> None:
    """Take system calls from us and the script, and hide from it what we know."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    described = (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(code))
    address = ctypes.c_void_p(ctypes.addressof(described))
    zero = ctypes.c_void_p(0)
    for option, first, second in ((_DUMPABLE, zero, zero), (_SECCOMP, _BY_FILTER, address)):
        if libc.prctl(option, first, second, zero, zero):
            raise OSError(ctypes.get_errno(), "the container's first process cannot be confined")


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


def _become(
    command: List[str],  # noqa: UP006
    environment: Dict[str, str],  # noqa: UP006
    limits: Dict[str, int],  # noqa: UP006
) -> NoReturn:
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(1, 2)  # one stream keeps output and errors in order
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        for name, most in limits.items():
            kind = getattr(resource, "RLIMIT_" + name.upper(), _MESSAGES)
            ceiling = resource.getrlimit(kind)[1]
            most = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
            resource.setrlimit(kind, (most, most))
        os.execve(command[0], command, environment)
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
