"""Bringing what a run changed, as an overlay kept it, into the workspace.

The run's processes are dead, and none ever had access to the workspace itself: only what
is in the layer of changes is distrusted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from mlagent_gym import beneath
from mlagent_gym.errors import DiskFullError, SandboxError

__all__ = ["merge"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_DEPTH = 32
_BLOCK = 2**20
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_WRITE_MODE = 0o644
_RUN_MODE = 0o755


def merge(changes: int, workspace: Path, *, max_bytes: int) -> None:
    """Apply a layer of changes to a folder.

    Plain files and folders are taken over; anything else a script made takes the place
    of what was there, and is itself left behind.

    Parameters
    ----------
    changes
        Descriptor of the layer's top folder.
    workspace
        Folder to change.
    max_bytes
        Most bytes of content to copy.

    Raises
    ------
    DiskFullError
        There is no room for the changes.
    SandboxError
        The layer holds more than it could.
    """
    budget = [max_bytes + 2**20]
    with _open(str(workspace), None) as target:
        try:
            _merge_folder(changes, target, budget, depth=0)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    f"There is no room left for the workspace at {workspace}. Free some, or set "
                    "TMPDIR to a folder on another disk."
                ) from error
            raise


def _merge_folder(source: int, target: int, budget: list[int], depth: int) -> None:
    for name in os.listdir(source):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and depth < _MAX_DEPTH:
            _readable(source, name, status, 0o700)
            with _open(name, source) as below:
                if _is_opaque(below) or not _is_folder(target, name):
                    beneath.remove(target, name)
                    os.mkdir(name, _RUN_MODE, dir_fd=target)
                with _open(name, target) as folder:
                    _merge_folder(below, folder, budget, depth + 1)
        elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            _readable(source, name, status, 0o600)
            _copy(source, target, name, status, budget)
        else:
            beneath.remove(target, name)


def _readable(folder: int, name: str, status: os.stat_result, mode: int) -> None:
    """Give ourselves back the right to read what a script has made unreadable."""
    if os.getuid() and status.st_mode & mode != mode:
        os.chmod(name, mode, dir_fd=folder)


def _copy(source: int, target: int, name: str, status: os.stat_result, budget: list[int]) -> None:
    """Copy one file, holes as holes, whole or not at all."""
    mode = _RUN_MODE if status.st_mode & stat.S_IXUSR else _WRITE_MODE
    if stat.S_ISDIR(_mode(target, name)):
        beneath.remove(target, name)
    temporary = f".new-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    reading = os.open(name, _FILE, dir_fd=source)
    try:
        writing = os.open(temporary, flags, mode, dir_fd=target)
        try:
            for start, end in _extents(reading, status.st_size):
                budget[0] -= end - start
                if budget[0] < 0:
                    raise SandboxError(
                        "A run changed more than its limit allows."
                        " Give it a higher limit of disk_mb."
                    )
                _copy_extent(reading, writing, start, end)
            os.ftruncate(writing, status.st_size)
            os.rename(temporary, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            os.unlink(temporary, dir_fd=target)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has content, from and to."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # only a hole is left
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _copy_extent(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        chunk = os.pread(reading, min(_BLOCK, end - start), start)
        if not chunk:
            return
        written = os.pwrite(writing, chunk, start)
        start += written


def _is_opaque(folder: int) -> bool:
    """Whether a folder of the layer hides what was below instead of adding to it."""
    for name in _OPAQUE:
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"y":
                return True
    return False


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(_mode(folder, name))


def _mode(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _open(name: str, parent: int | None) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
