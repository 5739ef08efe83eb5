"""Make very many empty files."""

import os

from breach import breach

os.mkdir("empty")
for i in range(20000):
    os.close(os.open(f"empty/{i}", os.O_CREAT | os.O_WRONLY))
breach("20000 files")
