"""Fork for as long as it works."""

import os
import time

from breach import breach

count = 0
try:
    while count < 200:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        count += 1
except OSError:
    pass
if count >= 100:
    time.sleep(0.5)
    breach(f"{count} processes")
