"""Change mode, owner or times of files outside."""

import os

from breach import attempt, breach, victim


def tried(what, action):
    before = os.stat(victim["labels"])
    with attempt():
        action()
    after = os.stat(victim["labels"])
    if (before.st_mode, before.st_uid, before.st_mtime) != (
        after.st_mode,
        after.st_uid,
        after.st_mtime,
    ):
        breach(what)


with attempt():
    tried("chmod", lambda: os.chmod(victim["labels"], 0o777))
    tried("utime", lambda: os.utime(victim["labels"], (1, 1)))
    tried("chown", lambda: os.chown(victim["labels"], 12345, 12345))
