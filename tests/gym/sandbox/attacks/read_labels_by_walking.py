"""Find the labels by looking everywhere near."""

import os

from breach import attempt, found, victim

top = os.path.dirname(os.path.dirname(victim["labels"]))
for start in (top, "/mlagent", "..", "/tmp"):
    for folder, _, names in os.walk(start):
        for name in names:
            if "labels" in name:
                with attempt():
                    found(open(os.path.join(folder, name)).read())
