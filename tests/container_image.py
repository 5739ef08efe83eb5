"""A container image with this interpreter and NumPy, made from the machine without a registry."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import numpy

LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "ensurepip", "tkinter", "lib2to3"}
SITE = Path(numpy.__file__).parents[1]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NAME = f"mlagent-gym-test:{VERSION}-{numpy.__version__}"


def trouble_with(engine, folder):
    """Make the image if the engine has none; return why it cannot run one; empty if it can."""
    if shutil.which(engine) is None:
        return "is not installed"
    with (folder / f"{engine}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers would make it at once
        if _run(engine, "image", "inspect", NAME):
            archive = folder / "image.tar"
            _write(archive)
            change = ("--change", "ENV PATH=/usr/local/bin")
            if said := _run(engine, "import", *change, str(archive), NAME):
                return said
            archive.unlink()
    limits = ("--ulimit", "nofile=256:256", "--ulimit", "nproc=4096:4096", "--memory", "64m")
    return _run(engine, "run", "--rm", "--network", "none", *limits, NAME, "python3", "-c", "")


def _run(*command):
    """Run a command; return what is wrong, if anything."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.stderr.strip()[-300:] or f"exit {done.returncode}" if done.returncode else ""


def _write(archive):
    stdlib = Path(sysconfig.get_path("stdlib"))
    library_folder = f"usr/local/lib/python{VERSION}"
    native = [sys.executable, *stdlib.glob("lib-dynload/*.so"), *SITE.glob("numpy*/**/*.so*")]
    with tarfile.open(archive, "w", dereference=True) as tar:
        tar.add(sys.executable, "usr/local/bin/python3")
        tar.add("/bin/sh", "bin/sh")
        tar.add(stdlib, library_folder, filter=_wanted)
        for folder in SITE.glob("numpy*"):
            tar.add(folder, f"{library_folder}/site-packages/{folder.name}")
        for library in _libraries(map(str, native)):
            loader = library.name.startswith("ld-")
            tar.add(library, f"{'lib64' if loader else 'lib/x86_64-linux-gnu'}/{library.name}")


def _wanted(member):
    return None if LEFT_OUT & set(Path(member.name).parts) else member


def _libraries(native):
    """Return the system's libraries that files need."""
    said = subprocess.run(["ldd", *native], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}
    return sorted(path for path in found if not path.is_relative_to(SITE))
