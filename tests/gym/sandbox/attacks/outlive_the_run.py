"""Leave a daemon that ignores every signal."""

import os
import signal
import time

from breach import attempt, victim

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            with attempt():
                signal.signal(number, signal.SIG_IGN)
        os.execv("/bin/sh", [victim["marker"], "-c", "trap '' TERM HUP INT; sleep 30; :"])
    os._exit(0)
os.wait()
time.sleep(0.2)
