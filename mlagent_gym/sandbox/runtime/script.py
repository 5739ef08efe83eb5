"""Running a script in a forked interpreter as ``python script.py`` would."""

from __future__ import annotations

import atexit
import importlib.machinery
import os
import signal
import sys
import threading
import time
import types
from typing import NoReturn

__all__ = ["OWN_MODULES", "become", "forget_early", "forget_for_all", "forget_late"]

OWN_MODULES = __name__.partition(".")[0]
"""Name of the package these modules are in, here."""


def forget_for_all() -> None:
    """Undo, before any fork, what preloading left and a new interpreter would not have.

    Exit handlers of preloaded libraries go too: they take 20 ms of every script. Those of
    the standard library that matter stay.
    """
    atexit._clear()
    for module, name in (("logging", "shutdown"), ("multiprocessing.util", "_exit_function")):
        if module in sys.modules:
            atexit.register(getattr(sys.modules[module], name))
    weakref = sys.modules.get("weakref")
    if weakref is not None:
        weakref.finalize._registry.clear()
        weakref.finalize._registered_with_atexit = False
    if "platform" in sys.modules:
        vars(sys.modules["platform"])["_uname_cache"] = None  # names the machine
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        linecache.clearcache()


def forget_early() -> None:
    """Undo, after the fork, what a script would not find and no order is needed for.

    Whatever this touches is a page to copy: it must not go through all modules, say.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _reseed()


def forget_late(
    environment: dict[str, str], python: str, script: str, own_modules: list[str]
) -> None:
    """Undo the rest, in the script's working folder."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[:] = [script]
    sys.orig_argv[:] = [python, script]
    _forget_folders()
    for name in own_modules:
        del sys.modules[name]


def become(script: str, path: list[str]) -> NoReturn:
    """Run a script of the working folder as the main program, and exit as Python would.

    Parameters
    ----------
    script
        Path relative to the working folder.
    path
        ``sys.path`` but its first entry.
    """
    full = os.path.join(os.getcwd(), script)
    sys.path[:] = [os.path.dirname(full), *path]
    code = 1
    try:
        _execute(full)
        code = 0
    except SystemExit as end:
        code = _exit_code(end.code)
    except BaseException as error:
        _show(error)
        if isinstance(error, KeyboardInterrupt):
            code = 130
    _finish(code)


def _execute(full: str) -> None:
    main = types.ModuleType("__main__")
    main.__file__ = full
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__annotations__ = {}
    main.__dict__["__cached__"] = None
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", full)
    main.__spec__ = None
    sys.modules["__main__"] = main
    try:
        with open(full, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {full!r}: {error}\n")
        raise SystemExit(2) from None
    exec(compile(source, full, "exec", dont_inherit=True), main.__dict__)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """Show an error as the interpreter does, without the frames of this module."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    error.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.excepthook(type(error), error, trace)


def _finish(code: int) -> NoReturn:
    """Wait for threads, run exit handlers, flush, and leave."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except SystemExit as end:
        code = _exit_code(end.code)
    except BaseException as error:
        _show(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            code = code or 120
    os._exit(code)


def _reseed() -> None:
    """Give the global generators fresh seeds, as a new process would have."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()


def _forget_folders() -> None:
    """Let modules that noted the working or temp folder at import find the right one."""
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        vars(tempfile)["tempdir"] = None
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        vars(process)["ORIGINAL_DIR"] = os.getcwd()
        process.current_process().authkey = os.urandom(32)
