"""Trace a process, read its memory, take its descriptors."""

import ctypes
import os

from breach import attempt, breach, victim

libc = ctypes.CDLL(None, use_errno=True)
target = victim["target"]
libc.ptrace.restype = ctypes.c_long
if libc.ptrace(ctypes.c_long(0x4206), ctypes.c_long(target), None, None) == 0:
    breach("ptrace seized another process")
with attempt():
    maps = open(f"/proc/{target}/maps").read().split("\n")[0]
    start = int(maps.split("-")[0], 16)
    buffer = ctypes.create_string_buffer(16)
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 16)
    remote = (ctypes.c_ulong * 2)(start, 16)
    if libc.syscall(310, target, vector, 1, remote, 1, 0) == 16:
        breach("process_vm_readv")
with attempt():
    pidfd = os.pidfd_open(target)
    if libc.syscall(438, pidfd, 1, 0) >= 0:
        breach("pidfd_getfd")
