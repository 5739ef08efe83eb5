"""Take more memory than allowed."""

import time

from breach import breach

blocks = []
for _ in range(12):
    blocks.append(bytearray(b"x") * (50 << 20))
    time.sleep(0.05)
breach("600 MB in one process")
