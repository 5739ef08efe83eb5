"""Graphics processors: which there are, and what makes one usable in a script.

A script gets device files only of its own; they are named to it by their unique ids, since
their numbers depend on which device files there are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HIDDEN", "Gpu", "environment", "find", "touched", "usable"]

HIDDEN = {"CUDA_VISIBLE_DEVICES": ""}
"""Variables of a script that has no graphics processor."""

_SHARED = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps/*")


@dataclass(frozen=True)
class Gpu:
    """One graphics processor."""

    name: str
    """Unique id, as the driver says it."""
    devices: tuple[str, ...]
    """Device files it is used through; some are those of others, too."""


def find(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """Return the machine's NVIDIA processors in the order of their slots.

    See the driver's README, chapter "The /proc Interface".
    """
    device_folder = root / "dev"
    shared = [path for name in _SHARED for path in sorted(device_folder.glob(name))]
    found = []
    for slot in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            lines = [line.partition(":") for line in slot.read_text().splitlines()]
            facts = {key.strip(): value.strip() for key, _, value in lines}
            node = device_folder / f"nvidia{facts.get('Device Minor', '')}"
            if "GPU UUID" in facts and os.access(node, os.R_OK | os.W_OK):
                found.append(Gpu(facts["GPU UUID"], tuple(map(str, (node, *shared)))))
    return tuple(found)


def usable(gpus: Sequence[Gpu], visible: str | None) -> tuple[str, ...]:
    """Return the names of those a process may use, by its ``CUDA_VISIBLE_DEVICES``.

    Parameters
    ----------
    gpus
        The machine's.
    visible
        The variable's value: numbers of slots, or beginnings of unique ids; None: unset.
    """
    if visible is None:
        return tuple(gpu.name for gpu in gpus)
    chosen = []
    for word in filter(None, (part.strip() for part in visible.split(","))):
        named = [
            gpu.name
            for number, gpu in enumerate(gpus)
            if word == str(number) or (not word.isdigit() and gpu.name.startswith(word))
        ]
        if not named:
            break  # as the driver does: what comes after one it does not know is not seen
        chosen += named
    return tuple(dict.fromkeys(chosen))


def environment(granted: Iterable[Gpu]) -> dict[str, str]:
    """Return the variables of a script that has these processors."""
    return HIDDEN | {"CUDA_VISIBLE_DEVICES": ",".join(gpu.name for gpu in granted)}


def touched(process: Path = Path("/proc/self")) -> bool:
    """Whether a process has used a graphics processor: forked copies of it never can."""
    for name in os.listdir(process / "fd"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "fd" / name).startswith("/dev/nvidia"):
                return True
    return " /dev/nvidia" in (process / "maps").read_text()
