"""From a level to the cell it asks for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from .cells import Cell, PlainCell, Preparation
from .cgroups import enter
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


def prepare_cell(
    setting: Setting, identity: Identity, entrance: int | None, output: int
) -> Preparation:
    """Make what does not depend on the order of the kind of cell a level asks for.

    Parameters
    ----------
    setting
        What the broker was started for.
    identity
        Who the script will be.
    entrance
        Descriptor of the run's control group; None: it has none.
    output
        Descriptor the script writes to.

    Raises
    ------
    PreparationError, OSError
        It could not be made.
    """
    if setting.level == "ns":
        zygote = setting.zygote if setting.preload else None
        return NamespaceCell(output, setting.root, identity, zygote, entrance)
    return _Unprepared(setting, identity, entrance, output)


@dataclass(frozen=True)
class _Unprepared:
    """All is done once there is an order."""

    setting: Setting
    identity: Identity
    entrance: int | None
    output: int
    guards: tuple[int, ...] = ()

    def begin(self, order: Order) -> Cell:
        setting, uid = self.setting, self.identity.uid
        if setting.level != "landlock":
            return self._plain(order, lambda: set_limits(order, processes=None))
        if uid != os.getuid():
            os.chmod(os.path.dirname(order.workspace), 0o711)  # its user must get through
        give(order.workspace, uid)
        give(order.temporary, uid)
        if order.warm and setting.preload:
            try:
                return ForkedCell(order, self.output, uid, setting.zygote, self.entrance)
            except ShadowedError:
                pass
        confine = confine_by_landlock(order, uid, setting.visible, setting.hidden)
        return self._plain(order, confine)

    def _plain(self, order: Order, confine: Callable[[], None]) -> PlainCell:
        def prepare() -> None:
            enter(self.entrance)
            confine()

        return PlainCell(order, self.output, prepare)
