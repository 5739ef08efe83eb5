"""Change a module right after its import, whoever imports it first.

Needed where a framework's processes import it themselves: a Ray worker calls a set-up
hook before anything else, and that hook must not import what it changes.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["after_import"]

Change = Callable[[Any], None]
Within = Callable[[], contextlib.AbstractContextManager[object]]


def after_import(changes: Mapping[str, Change], within: Within = contextlib.nullcontext) -> None:
    """Have each module changed as soon as it has been executed, or now if it has been.

    Parameters
    ----------
    changes
        Called with the module, by its full name.
    within
        Makes a context in which a module that comes is executed.
    """
    pending = dict(changes)
    for name in [name for name in pending if name in sys.modules]:
        pending.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder(pending, within))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, pending: dict[str, Change], within: Within):
        self._pending = pending
        self._within = within

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        change = self._pending.pop(fullname, None)
        if change is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _change_after_exec(spec.loader, change, self._within)
                return spec
        return None


def _change_after_exec(loader: Any, change: Change, within: Within) -> None:
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        with within():
            execute(module)
        change(module)

    loader.exec_module = exec_module
