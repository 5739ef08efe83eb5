"""What every attack has: whom to attack, and how to tell that it worked."""

import contextlib
import json
import os

with open("victim.json") as file:
    victim = json.load(file)


def breach(what):
    """Say that the attack worked."""
    os.write(1, f"BREACH: {what}\n".encode())


def found(text):
    """Say so if this is what was hidden."""
    if victim["word"] in text:
        breach("read " + victim["word"])


def attempt():
    """Try something that may be refused."""
    return contextlib.suppress(Exception)
