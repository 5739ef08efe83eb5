"""What of the machine a confined script may see, beside the system's programs."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["interpreter", "interpreter_folders", "own_folders"]


def interpreter() -> str:
    """Return the path of this interpreter, which a folder that is not shown may not be part of."""
    python = Path(sys.executable)
    return str(Path(_plain(str(python.parent))) / python.name)


def interpreter_folders() -> tuple[str, ...]:
    """Return the folders of this interpreter, of its virtual environment and libraries."""
    python = Path(interpreter())
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    folders = set(map(_plain, prefixes))
    while python.is_symlink():  # a virtual environment's python may lead through several
        python = python.parent / python.readlink()
        folders.add(str(python.parent.parent if python.parent.name == "bin" else python.parent))
    return tuple(sorted(folder for folder in folders if folder not in ("/", "/usr")))


def _plain(folder: str) -> str:
    """Return the same folder by a path without ``..``, as it has when started as ``../python``."""
    return str(Path(folder).resolve()) if ".." in Path(folder).parts else folder


def own_folders() -> tuple[str, ...]:
    """Return the folders of this project, where the answers could be made from."""
    root = Path(__file__).parents[2]
    return tuple(str(root / name) for name in ("mlagent_gym", "mlagent_train"))
