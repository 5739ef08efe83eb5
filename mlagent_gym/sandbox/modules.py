"""Which modules scripts can import, without importing any."""

from __future__ import annotations

import site
import sys
import sysconfig
from importlib.machinery import PathFinder

__all__ = ["can_be_imported"]


def can_be_imported(name: str) -> bool:
    """Whether the interpreter that runs scripts has a module or package.

    Of a package, which may lack the part that is asked for, its being there counts.

    Parameters
    ----------
    name
        As in an import statement.
    """
    path = _path()
    whole = ""
    for part in name.split("."):
        whole = f"{whole}.{part}" if whole else part
        if whole in sys.builtin_module_names:
            return True
        spec = PathFinder.find_spec(whole, path)
        if spec is None:
            return False
        if spec.has_location:
            return True
        path = list(spec.submodule_search_locations or ())  # of a package without a file
    return True


def _path() -> list[str]:
    """Return where scripts import from; not all of our own path, which they do not get."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    extensions = sysconfig.get_config_var("DESTSHARED")
    found = [sysconfig.get_path(kind) for kind in kinds]
    return [*found, *([extensions] if extensions else []), *site.getsitepackages()]
