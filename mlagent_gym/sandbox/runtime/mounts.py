"""Mounting, read-only and with owners changed."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from . import system

__all__ = [
    "bind",
    "bind_read_only",
    "clone_with_owners",
    "detach",
    "make_private",
    "mount",
    "pivot",
    "place",
    "set_read_only",
]

NO_SUID: Final = 2
NO_DEVICES: Final = 4
NO_EXEC: Final = 8
_BIND = 4096
_RECURSIVE = 16384
_SLAVE = 1 << 19
_DETACH = 2

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR, _PIVOT_ROOT = 428, 429, 442, 155
_AT_EMPTY_PATH, _AT_RECURSIVE, _AT_HERE = 0x1000, 0x8000, -100
_TREE_CLONE, _MOVE_FROM_EMPTY_PATH = 1, 4
_ATTR_READ_ONLY, _ATTR_NO_SUID, _ATTR_NO_DEVICES, _ATTR_OWNERS = 1, 2, 4, 0x100000

_libc = ctypes.CDLL(None, use_errno=True)


def mount(
    source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """Mount a file system.

    Raises
    ------
    OSError
        The kernel refused.
    """
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    if _libc.mount(*texts, ctypes.c_ulong(flags), data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{os.strerror(error)} (mounting {kind or 'a bind'})", target)


def bind(source: str, target: str) -> None:
    """Show `source`, and what is mounted below it, at `target` too."""
    mount(source, target, flags=_BIND | _RECURSIVE)


def bind_read_only(source: str, target: str) -> None:
    """Show `source` at `target`, where nothing can be written through it."""
    bind(source, target)
    set_read_only(target)


def set_read_only(target: str, *, devices: bool = False, recursive: bool = True) -> None:
    """Forbid writing, set-user-id programs and, unless wanted, devices below a mount."""
    wanted = _ATTR_READ_ONLY | _ATTR_NO_SUID | (0 if devices else _ATTR_NO_DEVICES)
    _set_attributes(_AT_HERE, target, wanted, flags=_AT_RECURSIVE if recursive else 0)


def make_private() -> None:
    """Let no mount of ours be seen outside."""
    mount("none", "/", flags=_RECURSIVE | _SLAVE)


def clone_with_owners(source: str, users: int) -> int:
    """Return a descriptor of a detached copy of a mount, its owners mapped.

    Parameters
    ----------
    source
        Folder to show.
    users
        Descriptor of a user namespace: what an id means within is what the copy shows.

    Raises
    ------
    OSError
        The file system or the kernel cannot do this.
    """
    flags = _TREE_CLONE | os.O_CLOEXEC
    descriptor = system.call(_OPEN_TREE, _AT_HERE, os.fsencode(source), flags)
    try:
        _set_attributes(descriptor, "", _ATTR_OWNERS, flags=_AT_EMPTY_PATH, users=users)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def place(descriptor: int, target: str) -> None:
    """Attach a detached mount, and close its descriptor."""
    system.call(_MOVE_MOUNT, descriptor, b"", _AT_HERE, os.fsencode(target), _MOVE_FROM_EMPTY_PATH)
    os.close(descriptor)


def detach(target: str) -> None:
    """Take a mount away; what is open on it stays usable."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(_DETACH)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


def pivot(root: str) -> None:
    """Make `root` all there is: everything else becomes unreachable."""
    os.chdir(root)
    system.call(_PIVOT_ROOT, b".", b".")
    detach(".")
    os.chdir("/")


def _set_attributes(folder: int, path: str, wanted: int, *, flags: int, users: int = 0) -> None:
    attributes = struct.pack("<QQQQ", wanted, 0, 0, users)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    system.call(_MOUNT_SETATTR, folder, os.fsencode(path), flags, buffer, len(attributes))
