"""File operations beneath a folder that an agent has written to, following nothing it planted.

Paths are opened component by component without following links, and only regular files
with one name are read. No process of the agent may be alive while these functions run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym.errors import WorkspaceError

__all__ = [
    "Entry",
    "create_file",
    "delete",
    "exists",
    "is_plain_name",
    "list_folder",
    "make_accessible",
    "open_folder",
    "read_file",
    "remove",
    "take_file",
    "write_file",
]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not block us


@dataclass(frozen=True)
class Entry:
    """One line of a folder listing."""

    name: str
    size: int
    is_folder: bool


def is_plain_name(name: str) -> bool:
    """Whether a file name can be shown, stored and restored anywhere."""
    return (
        name not in ("", ".", "..")
        and name.isprintable()
        and "\\" not in name
        and len(name.encode("utf-8", "surrogateescape")) <= 200
    )


@contextlib.contextmanager
def open_folder(
    root: Path, parts: tuple[str, ...], shown: str, *, make: bool = False
) -> Iterator[int]:
    """Open the folder `parts` beneath `root` and yield its descriptor.

    Parameters
    ----------
    root
        A folder of ours; only what is beneath it is distrusted.
    parts
        Names of the folders to go down.
    shown
        The path as the agent wrote it, for the message.
    make
        Make folders that are missing.

    Raises
    ------
    WorkspaceError
        Something on the way is missing or no folder.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=descriptor)
            try:
                below = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError:
                raise WorkspaceError(f"There is no folder {shown[:200]!r}.") from None
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(folder: int, name: str, shown: str, max_bytes: int) -> bytes:
    """Return the content of a plain file.

    Raises
    ------
    WorkspaceError
        There is no plain file of at most `max_bytes` by this name.
    """
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        raise WorkspaceError(f"There is no file {shown[:200]!r}.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise WorkspaceError(f"{shown[:200]!r} is not a plain file.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1) if status.st_size <= max_bytes else None
    finally:
        os.close(descriptor)
    if content is None or len(content) > max_bytes:
        raise WorkspaceError(f"{shown[:200]!r} is larger than {max_bytes} bytes.")
    return content


def write_file(folder: int, name: str, shown: str, content: bytes) -> None:
    """Write a file, whole or not at all, in place of a plain file or of nothing.

    Raises
    ------
    WorkspaceError
        Something that is no plain file has this name.
    """
    if exists(folder, name) and not stat.S_ISREG(_status(folder, name).st_mode):
        raise WorkspaceError(f"{shown[:200]!r} exists and is not a plain file.")
    temporary = f".new-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(temporary, dir_fd=folder)
        raise


def create_file(folder: int, name: str, shown: str, content: bytes) -> os.stat_result:
    """Write a file where there is none and return its status; a crash may leave it cut short.

    Raises
    ------
    WorkspaceError
        Something has this name.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    except FileExistsError:
        raise WorkspaceError(f"{shown[:200]!r} is a folder too.") from None
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def take_file(folder: int, name: str, shown: str, max_bytes: int) -> bytes | None:
    """Return the content of a plain file and remove it; None if nothing has this name.

    Raises
    ------
    WorkspaceError
        There is something else by this name. It is removed too.
    """
    if not exists(folder, name):
        return None
    try:
        return read_file(folder, name, shown, max_bytes)
    finally:
        remove(folder, name)


def list_folder(folder: int) -> list[Entry]:
    """List an open folder, folders first, then by name; names are made printable."""
    entries = []
    with os.scandir(folder) as found:
        for item in found:
            status = item.stat(follow_symlinks=False)
            name = item.name.encode("utf-8", "backslashreplace").decode()
            entries.append(Entry(name, status.st_size, stat.S_ISDIR(status.st_mode)))
    return sorted(entries, key=lambda entry: (not entry.is_folder, entry.name))


def make_accessible(folder: Path) -> None:
    """Give ourselves back the rights a script may have taken away from its own folder."""
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o755)


def delete(path: Path) -> None:
    """Remove a file or a tree, whatever its depth, names and rights."""
    with contextlib.suppress(FileNotFoundError), _opened(path.parent) as folder:
        remove(folder, path.name)


def remove(folder: int, name: str) -> None:
    """Remove whatever has this name, if anything does."""
    if not exists(folder, name):
        return
    if stat.S_ISDIR(_status(folder, name).st_mode):
        _remove_tree(folder, name)
    else:
        os.unlink(name, dir_fd=folder)


def _remove_tree(parent: int, name: str) -> None:
    """Remove a folder by moving the folders within up beside it, so that depth never matters."""
    pending = [name]
    while pending:
        current = pending[-1]
        os.chmod(current, 0o700, dir_fd=parent)
        nested = []
        with _opened(current, parent) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    nested.append(entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder)
            for inner in nested:
                os.chmod(inner, 0o700, dir_fd=folder)  # moving a folder needs the right to write it
                moved = f".del-{secrets.token_hex(8)}"
                os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=parent)
                pending.append(moved)
        pending.remove(current)
        os.rmdir(current, dir_fd=parent)


@contextlib.contextmanager
def _opened(path: Path | str, beneath: int | None = None) -> Iterator[int]:
    descriptor = os.open(
        path, _FOLDER if beneath is not None else _FOLDER & ~os.O_NOFOLLOW, dir_fd=beneath
    )
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def exists(folder: int, name: str) -> bool:
    """Whether anything in an open folder has this name."""
    try:
        _status(folder, name)
    except FileNotFoundError:
        return False
    return True
