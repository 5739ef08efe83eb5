"""Landlock: what a process may do with files, TCP ports and processes outside its domain.

Reference: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from . import system

__all__ = ["DEVICE", "LIST", "READ", "READ_EXECUTE", "READ_WRITE", "WRITE", "abi", "restrict"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_BENEATH = 1

(
    _EXECUTE,
    _WRITE_FILE,
    _READ_FILE,
    _READ_FOLDER,
    _REMOVE_FOLDER,
    _REMOVE_FILE,
    _MAKE_CHARACTER,
    _MAKE_FOLDER,
    _MAKE_FILE,
    _MAKE_SOCKET,
    _MAKE_FIFO,
    _MAKE_BLOCK,
    _MAKE_LINK,
    _REFER,
    _TRUNCATE,
    _DEVICE_CONTROL,
) = (1 << bit for bit in range(16))

_KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CONTROL
_TCP_BIND_AND_CONNECT = 3
_SCOPE_SOCKETS_AND_SIGNALS = 3

LIST: Final = _READ_FOLDER
READ: Final = _READ_FILE | _READ_FOLDER
READ_EXECUTE: Final = READ | _EXECUTE
READ_WRITE: Final = (
    READ_EXECUTE
    | _WRITE_FILE
    | _REMOVE_FOLDER
    | _REMOVE_FILE
    | _MAKE_FOLDER
    | _MAKE_FILE
    | _MAKE_SOCKET
    | _MAKE_FIFO
    | _MAKE_LINK
    | _REFER
    | _TRUNCATE
)
WRITE: Final = _WRITE_FILE
DEVICE: Final = READ | _WRITE_FILE | _DEVICE_CONTROL


def abi() -> int:
    """Return the version of Landlock the kernel offers; 0: none.

    From 6 on (Linux 6.12) it also stops signals and abstract sockets.
    """
    try:
        return system.call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[str, int]]) -> None:
    """Deny the calling process everything but `rules`: pairs of a path and what is allowed.

    Paths that do not exist are passed over. The process must have no new privileges.
    """
    version = abi()
    handled = (1 << _KNOWN_BITS.get(version, 16)) - 1
    fields = [handled]
    fields += [_TCP_BIND_AND_CONNECT] if version >= 4 else []
    fields += [_SCOPE_SOCKETS_AND_SIGNALS] if version >= 6 else []
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = system.call(_CREATE_RULESET, buffer, len(attributes), 0)
    try:
        for path, access in rules:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow(ruleset, path, access & handled)
        system.call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _ON_FILES
        rule = struct.pack("<Qi", access, descriptor)
        system.call(_ADD_RULE, ruleset, _BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(descriptor)
