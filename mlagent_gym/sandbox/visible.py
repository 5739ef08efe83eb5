"""What of the machine a confined script may see, beside the system's programs."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from mlagent_gym.places import cache_root
from mlagent_gym.sandbox.runtime.confinement import SYSTEM
from mlagent_gym.tasks import assets_root

__all__ = ["hidden_folders", "interpreter", "interpreter_folders", "own_folders"]


def interpreter() -> str:
    """Return the path of this interpreter, which a folder that is not shown may not be part of."""
    python = Path(sys.executable)
    return str(Path(_plain(str(python.parent))) / python.name)


def interpreter_folders() -> tuple[str, ...]:
    """Return the folders of this interpreter, its environment and libraries, and links to it.

    A link on the way from a virtual environment to its interpreter may lie anywhere, in
    somebody's home, say: it alone is shown, unless its folder is one of the interpreter's.
    """
    python = Path(interpreter())
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    shown = set(map(_plain, prefixes))
    real = set(map(os.path.realpath, shown))
    while python.is_symlink():
        python = python.parent / python.readlink()
        python = Path(_plain(str(python.parent))) / python.name
        if os.path.realpath(folder := python.parent.parent) in real:
            shown.add(str(folder))  # a prefix by another name
        elif not any(python.is_relative_to(folder) for folder in shown):
            shown.add(str(python))
    return tuple(sorted(shown - {"/", "/usr"}))


def own_folders() -> tuple[str, ...]:
    """Return the folders of this project, where the answers could be made from.

    Of a checkout that is all of it: its history has them too.
    """
    root = Path(__file__).parents[2]
    folders = {root / "mlagent_gym", root / "mlagent_train", assets_root()}
    if (root / "pyproject.toml").is_file():
        folders.add(root)
    return tuple(sorted(map(str, folders)))


def hidden_folders(visible: tuple[str, ...]) -> tuple[str, ...]:
    """Return what scripts may not see of what they are shown.

    Parameters
    ----------
    visible
        What they are shown, beside the system's programs.

    Returns
    -------
    tuple of str
        This project's folders, and that of prepared data, which has the answers, if it is
        part of what is shown; else executors could not share their processes.
    """
    cache = Path(os.path.realpath(cache_root()))
    if not any(cache.is_relative_to(os.path.realpath(one)) for one in (*visible, *SYSTEM)):
        return own_folders()
    with contextlib.suppress(OSError):  # what is not there cannot be covered
        cache.mkdir(parents=True, exist_ok=True)
    return (*own_folders(), str(cache))


def _plain(folder: str) -> str:
    """Return the same folder by a path without ``..``, as it has when started as ``../python``."""
    return str(Path(folder).resolve()) if ".." in Path(folder).parts else folder
