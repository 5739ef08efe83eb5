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

IMAGES_ARE_FILES = {"apptainer", "singularity"}
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
        archive = folder / f"{engine}.tar"
        if engine in IMAGES_ARE_FILES:
            return _trouble_with_folder(engine, archive, Path(name_of(engine, folder)))
        if _run(engine, "image", "inspect", NAME):
            _write(archive)
            change = ("--change", "ENV PATH=/usr/local/bin")
            if said := _run(engine, "import", *change, str(archive), NAME):
                return said
            archive.unlink()
    limits = ("--ulimit", "nofile=256:256", "--ulimit", "nproc=4096:4096", "--memory", "64m")
    return _run(engine, "run", "--rm", "--network", "none", *limits, NAME, "python3", "-c", "")


def name_of(engine, folder):
    """Return what the image is called; for engines without a service it is a folder."""
    return str(folder / f"{engine}-image") if engine in IMAGES_ARE_FILES else NAME


def _trouble_with_folder(engine, archive, image):
    if not image.exists():
        _write(archive)
        made = image.with_suffix(".new")
        for place in ("dev", "etc", "proc", "root", "sys", "tmp", "var/tmp"):
            (made / place).mkdir(parents=True, exist_ok=True)
        for name in ("passwd", "group"):
            (made / "etc" / name).touch()
        with tarfile.open(archive) as tar:
            tar.extractall(made, filter="fully_trusted")
        archive.unlink()
        made.rename(image)
    flags = ("--containall", "--no-privs", "--net", "--network", "none")
    return _run(engine, "exec", *flags, str(image), "python3", "-c", "")


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
