"""What of the machine a confined script may see, beside the system's programs."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["interpreter_folders", "own_folders"]


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
