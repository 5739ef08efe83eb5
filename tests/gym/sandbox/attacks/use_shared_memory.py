"""Read shared memory of other processes, named and System V."""

import ctypes

from breach import attempt, found, victim

with attempt():
    found(open("/dev/shm/" + victim["shm"]).read())
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
number = libc.shmget(victim["sysv"], 0, 0)
if number >= 0:
    address = libc.shmat(number, None, 0o10000)
    if address not in (None, ctypes.c_void_p(-1).value):
        found(ctypes.string_at(address, 64).decode(errors="replace"))
