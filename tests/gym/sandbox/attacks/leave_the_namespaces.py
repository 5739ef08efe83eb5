"""Make or enter namespaces, mount, chroot, open by handle."""

import ctypes
import os

from breach import attempt, breach

libc = ctypes.CDLL(None, use_errno=True)
for flags in (0x20000, 0x10000000, 0x10020000):
    if os.fork() == 0:
        if libc.unshare(flags) == 0:
            breach(f"unshare {flags:#x}")
            if libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None) == 0:
                breach("mounted")
        os._exit(0)
    os.wait()
with attempt():
    os.mkdir("root")
    os.chroot("root")
    breach("chroot")
for name in ("mnt", "pid", "net", "user"):
    with attempt():
        if libc.setns(os.open(f"/proc/1/ns/{name}", os.O_RDONLY), 0) == 0:
            breach(f"setns {name}")
handle = ctypes.create_string_buffer(136)
ctypes.memmove(handle, (128).to_bytes(4, "little"), 4)
mount = ctypes.c_int()
if libc.name_to_handle_at(-100, b".", handle, ctypes.byref(mount), 0) == 0:
    breach("name_to_handle_at")
