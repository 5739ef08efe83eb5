"""Change the data in every way there is."""

import mmap
import os

from breach import attempt, breach

path = "../input/train.csv"
real = os.path.realpath(path)


def tried(what, action):
    before = open(path, "rb").read(), os.stat(path).st_mtime_ns, os.stat(path).st_mode
    with attempt():
        action()
    after = open(path, "rb").read(), os.stat(path).st_mtime_ns, os.stat(path).st_mode
    if before != after:
        breach(what)


tried("chmod", lambda: os.chmod(path, 0o606))
tried("append", lambda: open(path, "a").write("9,9\n"))
tried("utime", lambda: os.utime(path, (1, 1)))
tried("truncate", lambda: os.truncate(path, 5))
tried("proc", lambda: open("/proc/self/root" + real, "a").write("9,9\n"))


def by_map():
    with open(path, "r+b") as file:
        mmap.mmap(file.fileno(), 0)[0:1] = b"X"


tried("mmap", by_map)
with attempt():
    os.rename("../input/train.csv", "../input/moved.csv")
    breach("rename")
with attempt():
    open("../input/new.csv", "w").close()
    breach("create")
with attempt():
    os.remove("../input/moved.csv")
    breach("remove")
