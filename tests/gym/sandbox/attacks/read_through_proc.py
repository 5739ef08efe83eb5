"""Reach into other processes through /proc."""

import os

from breach import attempt, breach, found, victim

for pid in [victim["pid"], victim["target"], os.getppid(), 1]:
    for name in ("cwd", "root"):
        with attempt():
            found(open(f"/proc/{pid}/{name}/" + victim["labels"].lstrip("/")).read())
    for name in ("environ", "cmdline", "maps", "stack"):
        with attempt():
            text = open(f"/proc/{pid}/{name}").read()
            if victim["word"] in text or (name == "maps" and text and pid == victim["target"]):
                breach(f"/proc/{pid}/{name}")
    with attempt():
        for name in os.listdir(f"/proc/{pid}/fd"):
            with attempt():
                found(open(f"/proc/{pid}/fd/{name}").read(1000))
