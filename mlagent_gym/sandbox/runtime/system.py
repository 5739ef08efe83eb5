"""System calls the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from typing import Final

__all__ = [
    "call",
    "drop_capabilities",
    "keep_capabilities_over_exec",
    "machine_supported",
    "prctl",
    "setns",
    "unshare",
]

PARENT_DEATH_SIGNAL: Final = 1
DUMPABLE: Final = 4
DROP_BOUNDING_CAPABILITY: Final = 24
SUBREAPER: Final = 36
NO_NEW_PRIVILEGES: Final = 38
AMBIENT_CAPABILITIES: Final = 47

NEW_MOUNTS: Final = 0x00020000
NEW_HOSTNAME: Final = 0x04000000
NEW_IPC: Final = 0x08000000
NEW_USERS: Final = 0x10000000
NEW_PROCESSES: Final = 0x20000000
NEW_NETWORK: Final = 0x40000000

_AMBIENT_RAISE = 2
_AMBIENT_CLEAR = 4
_CAPABILITY_VERSION = 0x20080522
_CAPSET = 126
_CAPGET = 125

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


def machine_supported() -> bool:
    """Whether the numbers of system calls used here are this machine's."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def call(number: int, *arguments: Argument) -> int:
    """Make a system call by its number and return its result.

    Raises
    ------
    OSError
        The kernel refused.
    """
    plain = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *plain), f"system call {number}")


def prctl(option: int, value: int = 0, second: int = 0) -> None:
    """Set a property of the calling process."""
    values = [ctypes.c_ulong(value), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)]
    _checked(_libc.prctl(ctypes.c_int(option), *values), f"prctl {option}")


def unshare(kinds: int) -> None:
    """Put the calling process, or for processes its children, into new namespaces."""
    _checked(_libc.unshare(ctypes.c_int(kinds)), "unshare")


def setns(descriptor: int, kinds: int) -> None:
    """Enter namespaces of the process or of the namespace file that a descriptor stands for."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kinds)), "setns")


def keep_capabilities_over_exec() -> None:
    """Let a program we start have the capabilities we have, though it is not root."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(24)
    call(_CAPGET, ctypes.create_string_buffer(header, 8), sets)
    low = struct.unpack("<6I", sets.raw)  # effective, permitted, inheritable; twice 32 bits
    raised = struct.pack("<6I", low[0], low[1], low[1], low[3], low[4], low[4])
    call(_CAPSET, ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(raised, 24))
    for number in _bits(low[1] | low[4] << 32):
        prctl(AMBIENT_CAPABILITIES, _AMBIENT_RAISE, number)


def drop_capabilities() -> None:
    """Give up all capabilities, for the programs started later too."""
    for number in range(64):
        try:
            prctl(DROP_BOUNDING_CAPABILITY, number)
        except OSError:
            break  # the kernel knows no more, or we had no right to: nothing to lose then
    prctl(AMBIENT_CAPABILITIES, _AMBIENT_CLEAR)
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    call(_CAPSET, ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(24))


def _bits(mask: int) -> Iterable[int]:
    return (number for number in range(64) if mask >> number & 1)


def _checked(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
    return result
