"""Take memory that no process has mapped."""

import os
import time

from breach import attempt, breach

size = 0


def fill(descriptor):
    global size
    for _ in range(30):
        os.write(descriptor, b"x" * (20 << 20))
        size += 20
        time.sleep(0.02)


with attempt():
    fill(os.memfd_create("hidden"))
if size < 600:
    with attempt():
        descriptor = os.open("/dev/shm/hidden-by-test", os.O_CREAT | os.O_RDWR, 0o600)
        os.unlink("/dev/shm/hidden-by-test")
        fill(descriptor)
if size >= 600:
    time.sleep(0.3)
    breach(f"{size} MB that no process maps")
