"""End while a child keeps the output open."""

import os

from breach import victim

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sh", [victim["marker"], "-c", "sleep 30; :"])
    os._exit(0)
os.wait()
os._exit(0)
