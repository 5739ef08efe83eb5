"""Take more memory together than one may have."""

import os
import time

from breach import breach

for _ in range(12):
    if os.fork() == 0:
        block = bytearray(b"x") * (50 << 20)
        time.sleep(3)
        os._exit(0)
time.sleep(2)
breach("600 MB in many processes")
