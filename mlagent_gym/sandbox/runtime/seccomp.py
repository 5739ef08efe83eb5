"""Which system calls a script may make, as a program the kernel runs before each of them.

A list of what is forbidden, since scripts may use any library. What the kernel has grown
since this list was made does not exist for them.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass, field

from . import system

__all__ = ["build", "install"]

_ARCHITECTURE = 0xC000003E
_X32 = 0x40000000
_NEWEST_KNOWN = 470

_FORBIDDEN = {
    # other processes
    "ptrace": 101,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "process_mrelease": 448,
    # the kernel's rarer doors
    "bpf": 321,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "memfd_secret": 447,
    "modify_ldt": 154,
    "personality": 135,
    "fanotify_init": 300,
    "lookup_dcookie": 212,
    # namespaces and mounts
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "chroot": 161,
    "unshare": 272,
    "setns": 308,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "open_tree_attr": 467,
    "open_by_handle_at": 304,
    "name_to_handle_at": 303,
    # the machine
    "init_module": 175,
    "finit_module": 313,
    "delete_module": 176,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "reboot": 169,
    "swapon": 167,
    "swapoff": 168,
    "acct": 163,
    "quotactl": 179,
    "quotactl_fd": 443,
    "syslog": 103,
    "iopl": 172,
    "ioperm": 173,
    "settimeofday": 164,
    "clock_settime": 227,
    "adjtimex": 159,
    "clock_adjtime": 305,
    "sethostname": 170,
    "setdomainname": 171,
    "vhangup": 153,
}

# Memory that belongs to no process could not be charged to the run.
_MISSING = {
    "clone3": 435,  # hides its flags from us; the C library falls back to clone
    "memfd_create": 319,
    "shmget": 29,
    "msgget": 68,
    "semget": 64,
    "mq_open": 240,
}

# Landlock does not cover owners, modes and times of files it lets one read.
_METADATA = {
    "chmod": 90,
    "fchmod": 91,
    "fchmodat": 268,
    "fchmodat2": 452,
    "chown": 92,
    "fchown": 93,
    "lchown": 94,
    "fchownat": 260,
    "setxattr": 188,
    "lsetxattr": 189,
    "fsetxattr": 190,
    "removexattr": 197,
    "lremovexattr": 198,
    "fremovexattr": 199,
    "setxattrat": 463,
    "removexattrat": 466,
    "utime": 132,
    "utimes": 235,
    "utimensat": 280,
    "futimesat": 261,
    "file_setattr": 469,
}

# Their first argument is a process; only 0, the caller, is allowed.
_ON_A_PROCESS = {
    "prlimit64": 302,
    "sched_setaffinity": 203,
    "sched_setscheduler": 144,
    "sched_setparam": 142,
    "sched_setattr": 314,
}

_CLONE, _SOCKET, _SOCKETPAIR, _IOCTL = 56, 41, 53, 16
_MKNOD, _MKNODAT = 133, 259
_SETPRIORITY, _IOPRIO_SET = 141, 251
_NEW_NAMESPACES = 0x7E020000
_UNIX = 1
_DATAGRAM = 2
_TERMINAL_INPUT, _TERMINAL_CONTROL = 0x5412, 0x541C
_FILE_KIND, _CHARACTER, _BLOCK = 0o170000, 0o020000, 0o060000

_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _RETURN, _AND = 0x20, 0x06, 0x54
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE_FIELD, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32

_SET_MODE_FILTER = 1
_SECCOMP = 317


@dataclass
class _Program:
    """Instructions of the kernel's filter machine."""

    code: list[tuple[int, int, int, int]] = field(default_factory=list)

    def do(self, operation: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code.append((operation, if_true, if_false, value & 0xFFFFFFFF))

    def fail(self, number: int, error: int) -> None:
        """Let one call return an error, or with 0 do nothing and report success."""
        self.do(_IF_EQUAL, number, 0, 1)
        self.do(_RETURN, _ERROR | error)

    def fail_unless_equal(self, number: int, argument: int, value: int, error: int) -> None:
        """Let one call fail unless an argument has a value."""
        self.do(_IF_EQUAL, number, 0, 4)
        self.do(_LOAD, argument)
        self.do(_IF_EQUAL, value, 1, 0)
        self.do(_RETURN, _ERROR | error)
        self.do(_LOAD, _NUMBER)

    def fail_if_bits(self, number: int, argument: int, bits: int, error: int) -> None:
        """Let one call fail if any of these bits is set in an argument."""
        self.do(_IF_EQUAL, number, 0, 4)
        self.do(_LOAD, argument)
        self.do(_IF_ANY_BIT, bits, 0, 1)
        self.do(_RETURN, _ERROR | error)
        self.do(_LOAD, _NUMBER)

    def fail_if_masked_equal(
        self, number: int, argument: int, mask: int, value: int, error: int
    ) -> None:
        """Let one call fail if some bits of an argument have a value."""
        self.do(_IF_EQUAL, number, 0, 5)
        self.do(_LOAD, argument)
        self.do(_AND, mask)
        self.do(_IF_EQUAL, value, 0, 1)
        self.do(_RETURN, _ERROR | error)
        self.do(_LOAD, _NUMBER)


def build(*, own_view: bool) -> bytes:
    """Return the filter.

    Parameters
    ----------
    own_view
        The script has namespaces of its own. If not, it also loses sockets, and changing
        the mode, owner or time of a file does nothing, since Landlock cannot stop that.
    """
    program = _Program()
    program.do(_LOAD, _ARCHITECTURE_FIELD)
    program.do(_IF_EQUAL, _ARCHITECTURE, 1, 0)
    program.do(_RETURN, _KILL)
    program.do(_LOAD, _NUMBER)
    program.do(_IF_AT_LEAST, _X32, 0, 1)
    program.do(_RETURN, _KILL)
    program.do(_IF_AT_LEAST, _NEWEST_KNOWN + 1, 0, 1)
    program.do(_RETURN, _ERROR | errno.ENOSYS)
    for number in _FORBIDDEN.values():
        program.fail(number, errno.EPERM)
    for number in _MISSING.values():
        program.fail(number, errno.ENOSYS)
    program.fail_if_bits(_CLONE, _FIRST, _NEW_NAMESPACES, errno.EPERM)
    for number in _ON_A_PROCESS.values():
        program.fail_unless_equal(number, _FIRST, 0, errno.EPERM)
    for number in (_SETPRIORITY, _IOPRIO_SET):
        program.fail_unless_equal(number, _SECOND, 0, errno.EPERM)
    program.fail_if_masked_equal(_SETPRIORITY, _FIRST, 0xFF, 2, errno.EPERM)  # a whole user
    program.fail_if_masked_equal(_IOPRIO_SET, _FIRST, 0xFF, 3, errno.EPERM)
    for kind in (_CHARACTER, _BLOCK):
        program.fail_if_masked_equal(_MKNOD, _SECOND, _FILE_KIND, kind, errno.EPERM)
        program.fail_if_masked_equal(_MKNODAT, _THIRD, _FILE_KIND, kind, errno.EPERM)
    for request in (_TERMINAL_INPUT, _TERMINAL_CONTROL):
        program.fail_if_masked_equal(_IOCTL, _SECOND, 0xFFFFFFFF, request, errno.EPERM)
    if own_view:
        program.fail_unless_equal(_SOCKET, _FIRST, _UNIX, errno.EACCES)
    else:
        program.fail(_SOCKET, errno.EACCES)
        # A pair of datagram sockets can send to any path.
        program.fail_if_masked_equal(_SOCKETPAIR, _SECOND, 0xF, _DATAGRAM, errno.EACCES)
        for number in _METADATA.values():
            program.fail(number, 0)
    program.do(_RETURN, _ALLOW)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program.code)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def install(program: bytes) -> None:
    """Put the calling process, and all it will start, under a filter for good."""
    code = ctypes.create_string_buffer(program, len(program))
    described = _FilterProgram(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    address = ctypes.addressof(described)
    system.call(_SECCOMP, _SET_MODE_FILTER, 0, address)
