"""What of the machine a confined script may see, beside the system's programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["gpu_devices", "interpreter_folders", "own_folders"]

_DEVICES = ("nvidia*", "nvidia-caps/*", "kfd", "dri/renderD*")


def interpreter_folders() -> tuple[str, ...]:
    """Return the folders of this interpreter, of its virtual environment and libraries."""
    python = Path(sys.executable)
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    while python.is_symlink():  # a virtual environment's python may lead through several
        python = python.parent / python.readlink()
        folders.add(str(python.parent.parent if python.parent.name == "bin" else python.parent))
    return tuple(sorted(folder for folder in folders if folder not in ("/", "/usr")))


def own_folders() -> tuple[str, ...]:
    """Return the folders of this project, where the answers could be made from."""
    root = Path(__file__).parents[2]
    return tuple(str(root / name) for name in ("mlagent_gym", "mlagent_train"))


def gpu_devices() -> tuple[str, ...]:
    """Return the device files of graphics processors."""
    found = [path for pattern in _DEVICES for path in Path("/dev").glob(pattern)]
    return tuple(sorted(str(path) for path in found if os.access(path, os.R_OK | os.W_OK)))
