"""Fill the disk with files that have no name."""

import os
import time

from breach import breach

files = []
for i in range(40):
    file = open(f"gone{i}", "wb")
    os.unlink(f"gone{i}")
    for _ in range(10):
        time.sleep(0.002)
        file.write(b"x" * (1 << 20))
    file.flush()
    files.append(file)
breach("400 MB in deleted files")
