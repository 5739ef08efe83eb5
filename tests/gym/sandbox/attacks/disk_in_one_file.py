"""Fill the disk with one file."""

import time

from breach import breach

size = 0
with open("big", "wb") as file:
    for _ in range(400):
        time.sleep(0.002)
        size += file.write(b"x" * (1 << 20))
breach(f"{size >> 20} MB")
