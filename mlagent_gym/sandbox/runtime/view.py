"""The file system a script sees: the system's programs, its workspace, the data, little else.

What is the same for all runs is built once, by the broker; each run adds its own part in
a mount namespace of its own, and makes that all there is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from . import mounts
from .orders import Order

__all__ = ["DATA", "HOME", "WORKSPACE", "Scratch", "build_base", "enter", "give"]

WORKSPACE: Final = "/mlagent/work"
DATA: Final = "/mlagent/input"
TEMPORARY: Final = "/tmp"
SHARED_MEMORY: Final = "/dev/shm"
HOME: Final = "/tmp/home"

_SCRATCH = "/.scratch"
_MB = 2**20
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_TEMPORARY_FS = mounts.NO_SUID | mounts.NO_DEVICES


@dataclass(frozen=True)
class Scratch:
    """Descriptors of what a run writes to; they outlive its namespaces."""

    changes: int
    """Folder with what changed in the workspace, as an overlay keeps it."""
    shared_memory: int
    proc: int


def build_base(root: str, visible: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    """Mount at `root` what every script may see, and empty places for the rest.

    Parameters
    ----------
    root
        An empty folder.
    visible
        Folders, and files or links to them, to show beside the system's own.
    hidden
        Folders below these, or the system's, that are shown empty.
    """
    mounts.mount("tmpfs", root, "tmpfs", mounts.NO_SUID, "size=1m,mode=755")
    for place in (WORKSPACE, DATA, TEMPORARY, SHARED_MEMORY, "/proc", _SCRATCH):
        os.makedirs(root + place, exist_ok=True)
    outer_first = sorted(visible, key=lambda path: (not os.path.isdir(path), len(path)))
    shown = (*_SYSTEM, *_SETTINGS, *outer_first)
    for path in shown:
        _show(root, path)
    covers = []
    for hole in sorted(set(map(os.path.realpath, hidden)), key=len):
        covers += _empty(root, shown, hole)
        for path in outer_first:  # what was asked for below the hole
            _show(root, path)
    for cover in covers:
        mounts.set_read_only(cover, recursive=False)
    _show_devices(root, ())
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0::/:/bin/sh\n")
        file.writelines(f"agent:x:{uid}:{uid}::{HOME}:/bin/sh\n" for uid in _plausible_ids())
    with open(f"{root}/etc/hosts", "w") as file:
        file.write("127.0.0.1 localhost\n")
    mounts.set_read_only(root, recursive=False)


def enter(root: str, order: Order, *, owner: int, users: int | None) -> Scratch:
    """Make the base, with the order's workspace and data in it, the whole file system.

    The calling process is in a new mount namespace.

    Parameters
    ----------
    root
        Where `build_base` put the base.
    order
        The run.
    owner
        User id the script will have.
    users
        User namespace that shows our files as the script's own; None: they are already.

    Raises
    ------
    OSError
        The kernel refused.
    """
    scratch = root + _SCRATCH
    options = f"size={order.disk_mb}m,nr_inodes={order.files + 8},mode=700"
    mounts.mount("tmpfs", scratch, "tmpfs", _TEMPORARY_FS, options)
    for name, mode in (("upper", 0o755), ("overlay", 0o755), ("tmp", 0o1777)):
        os.mkdir(f"{scratch}/{name}")
        os.chmod(f"{scratch}/{name}", mode)
        os.chown(f"{scratch}/{name}", owner, owner)
    changes = os.open(f"{scratch}/upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _show_data(order.data, root + DATA, users)
    _overlay(order.workspace, root + WORKSPACE, scratch, owner, users)
    _cover(f"{scratch}/tmp", root + TEMPORARY)
    mounts.detach(scratch)
    if order.devices:
        _add_devices(root, order.devices)
    home = root + HOME
    os.mkdir(home)
    os.chown(home, owner, owner)
    memory = f"size={order.memory_mb}m,nr_inodes={order.files},mode=1777"
    mounts.mount("tmpfs", root + SHARED_MEMORY, "tmpfs", _TEMPORARY_FS, memory)
    mounts.mount("proc", root + "/proc", "proc", _TEMPORARY_FS | mounts.NO_EXEC)
    mounts.pivot(root)
    return Scratch(
        changes,
        os.open(SHARED_MEMORY, os.O_RDONLY | os.O_CLOEXEC),
        os.open("/proc", os.O_RDONLY | os.O_CLOEXEC),
    )


def _show_devices(root: str, more: tuple[str, ...]) -> None:
    for path in (*(f"/dev/{name}" for name in _DEVICES), *more):
        _show(root, path, devices=True)
    for name, end in _LINKS.items():
        os.symlink(f"/proc/self/fd{end}", f"{root}/dev/{name}")


def _add_devices(root: str, devices: tuple[str, ...]) -> None:
    """Cover the base's devices, which all runs share, by a run's own."""
    place = root + "/dev"
    mounts.mount("tmpfs", place, "tmpfs", mounts.NO_SUID, "size=64k,mode=755")
    os.mkdir(root + SHARED_MEMORY)
    _show_devices(root, devices)
    mounts.set_read_only(place, devices=True, recursive=False)


def _cover(source: str, target: str) -> None:
    """Show `source` at `target`, with what stands there already still in it.

    A virtual environment may well lie in the machine's temporary folder.
    """
    names = os.listdir(target)
    links = [name for name in names if os.path.islink(f"{target}/{name}")]
    ends = {name: os.readlink(f"{target}/{name}") for name in links}
    standing = {name: os.open(f"{target}/{name}", os.O_PATH) for name in names if name not in ends}
    mounts.bind(source, target)
    for name, end in ends.items():
        os.symlink(end, f"{target}/{name}")
    for name, descriptor in standing.items():
        os.mkdir(f"{target}/{name}")
        mounts.bind(f"/proc/self/fd/{descriptor}", f"{target}/{name}")
        os.close(descriptor)


def _empty(root: str, shown: Iterable[str], hole: str) -> list[str]:
    """Show a folder empty wherever below `root` it would be seen; return these places."""
    inside = os.path.realpath(root) + "/"
    found = []
    for path in shown:
        source = os.path.realpath(path).rstrip("/")
        if os.path.islink(root + path) or not f"{hole}/".startswith(f"{source}/"):
            continue
        target = os.path.realpath(root + path.rstrip("/") + hole[len(source) :])
        if target.startswith(inside) and os.path.isdir(target) and target not in found:
            mounts.mount("tmpfs", target, "tmpfs", _TEMPORARY_FS, "size=64k,mode=555")
            found.append(target)
    return found


def _show(root: str, path: str, *, devices: bool = False) -> None:
    """Show a file, folder or link of the machine at the same path below `root`."""
    if not os.path.lexists(path) or os.path.lexists(root + path):
        return
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    if os.path.islink(path) and path in _SYSTEM:
        os.symlink(os.readlink(path), root + path)
        return
    if os.path.islink(path) and not os.path.isdir(path) and not devices:
        target = os.path.join(os.path.dirname(path), os.readlink(path))
        os.symlink(target, root + path)
        _show(root, target)
        return
    if os.path.isdir(path):
        os.makedirs(root + path)
    else:
        with open(root + path, "w"):
            pass
    mounts.bind(os.path.realpath(path), root + path)
    if not devices:
        mounts.set_read_only(root + path)


def _show_data(source: str, target: str, users: int | None) -> None:
    if users is not None:
        with contextlib.suppress(OSError):  # not every file system can map owners
            mounts.place(mounts.clone_with_owners(source, users), target)
            mounts.set_read_only(target)
            return
    if users is not None and not os.stat(source).st_mode & 0o005 == 0o005:
        raise OSError(
            f"the data at {source} can only be read by their owner, and this file system "
            f"cannot show them as another's. Run: chmod -R o+rX {source}"
        )
    mounts.bind_read_only(source, target)


def _overlay(source: str, target: str, scratch: str, owner: int, users: int | None) -> None:
    lower = source
    if users is not None:
        try:
            copy = mounts.clone_with_owners(source, users)
        except OSError:
            give(source, owner)
        else:
            lower = f"{scratch}/lower"
            os.mkdir(lower)
            mounts.place(copy, lower)
    descriptor = os.open(lower, os.O_PATH | os.O_CLOEXEC)  # its name may have any character
    layers = f"lowerdir=/proc/self/fd/{descriptor}"
    layers += f",upperdir={_escaped(scratch)}/upper,workdir={_escaped(scratch)}/overlay"
    # Without root's rights over the file system's own attributes, the user's serve.
    for attributes in ("", ",userxattr"):
        try:
            mounts.mount("overlay", target, "overlay", _TEMPORARY_FS, layers + attributes)
            break
        except OSError:
            if attributes:
                raise
    os.close(descriptor)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def give(folder: str, owner: int) -> None:
    """Make a script's user the owner of a folder, where no process of it is alive."""
    if owner == os.getuid():
        return
    os.chown(folder, owner, owner)
    for name, folders, files, descriptor in os.fwalk(folder):
        del name
        for entry in (*folders, *files):
            os.chown(entry, owner, owner, dir_fd=descriptor, follow_symlinks=False)


def _plausible_ids() -> list[int]:
    from .identities import FIRST_ID, IDS

    return [os.getuid()] if os.getuid() else list(range(FIRST_ID, FIRST_ID + IDS))
