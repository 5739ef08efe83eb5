"""From a level to the cell it asks for."""

from __future__ import annotations

import os

from .cells import Cell, PlainCell
from .confinement import confine_by_landlock
from .forked_cell import ForkedCell
from .identities import Identity
from .namespace_cell import NamespaceCell
from .nursery import ShadowedError
from .orders import Order, Setting
from .rlimits import set_limits
from .view import give

__all__ = ["make_cell"]


def make_cell(setting: Setting, identity: Identity, order: Order, output: int) -> Cell:
    """Start a run in the kind of cell its level asks for.

    Parameters
    ----------
    setting
        What the broker was started for.
    identity
        Who the script will be.
    order
        The run.
    output
        Descriptor the script writes to.

    Raises
    ------
    PreparationError, OSError
        The script could not be started as it must be.
    """
    warm = order.warm and bool(setting.preload)
    if setting.level == "ns":
        zygote = setting.zygote if warm else None
        return NamespaceCell(order, output, setting.root, identity, zygote)
    if setting.level != "landlock":
        return PlainCell(order, output, lambda: set_limits(order, processes=None))
    if identity.uid != os.getuid():
        os.chmod(os.path.dirname(order.workspace), 0o711)  # its user must get through
    give(order.workspace, identity.uid)
    give(order.temporary, identity.uid)
    if warm:
        try:
            return ForkedCell(order, output, identity.uid, setting.zygote)
        except ShadowedError:
            pass
    confine = confine_by_landlock(order, identity.uid, setting.visible, setting.hidden)
    return PlainCell(order, output, confine)
