"""From a level to the cell it asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .cells import Cell, PlainCell, Preparation
from .confinement import confine_by_landlock
from .forked_cell import ForkedCell
from .identities import Identity
from .namespace_cell import NamespaceCell
from .nursery import ShadowedError
from .orders import Order, Setting
from .rlimits import set_limits
from .view import give

__all__ = ["can_wait", "prepare_cell"]


def can_wait(setting: Setting) -> bool:
    """Whether anything of a cell can be made before there is an order."""
    return setting.level == "ns"


def prepare_cell(setting: Setting, identity: Identity, output: int) -> Preparation:
    """Make what does not depend on the order of the kind of cell a level asks for.

    Parameters
    ----------
    setting
        What the broker was started for.
    identity
        Who the script will be.
    output
        Descriptor the script writes to.

    Raises
    ------
    PreparationError, OSError
        It could not be made.
    """
    if setting.level == "ns":
        zygote = setting.zygote if setting.preload else None
        return NamespaceCell(output, setting.root, identity, zygote)
    return _Unprepared(setting, identity, output)


@dataclass(frozen=True)
class _Unprepared:
    """All is done once there is an order."""

    setting: Setting
    identity: Identity
    output: int
    guards: tuple[int, ...] = ()

    def begin(self, order: Order) -> Cell:
        setting, uid, output = self.setting, self.identity.uid, self.output
        if setting.level != "landlock":
            return PlainCell(order, output, lambda: set_limits(order, processes=None))
        if uid != os.getuid():
            os.chmod(os.path.dirname(order.workspace), 0o711)  # its user must get through
        give(order.workspace, uid)
        give(order.temporary, uid)
        if order.warm and setting.preload:
            try:
                return ForkedCell(order, output, uid, setting.zygote)
            except ShadowedError:
                pass
        confine = confine_by_landlock(order, uid, setting.visible, setting.hidden)
        return PlainCell(order, output, confine)
