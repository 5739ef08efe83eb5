"""Stop itself and all its children, and wait for ever."""

import os
import signal
import time

from breach import breach

for _ in range(5):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(20)
        os._exit(0)
end = time.time() + 6
pid = os.fork()
if pid:
    while time.time() < end:
        time.sleep(0.1)
    breach("ran longer than its limit")
else:
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(6)
    os.kill(os.getppid(), signal.SIGCONT)
