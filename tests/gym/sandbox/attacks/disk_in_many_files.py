"""Fill the disk with many files, here and in the temp folder."""

import os
import tempfile
import time

from breach import breach

os.mkdir("many")
for i in range(400):
    time.sleep(0.002)
    folder = "many" if i % 2 else tempfile.gettempdir()
    with open(f"{folder}/{i}", "wb") as file:
        file.write(b"x" * (1 << 20))
breach("400 MB")
