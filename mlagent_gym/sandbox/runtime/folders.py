"""How much stands in a folder that somebody else may be writing to."""

from __future__ import annotations

import os
import stat

from .orders import Order

__all__ = ["measure", "measure_run"]


def measure(root: str, *, at_most: int) -> tuple[int, int]:
    """Return the bytes on the disk and the number of entries below a folder.

    Links are not followed, and counting ends once there are more than `at_most` entries.
    """
    total = entries = 0
    pending = [root]
    while pending:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    entries += 1
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(entry.path)
                    if entries > at_most:
                        return total, entries
        except OSError:
            continue
    return total, entries


def measure_run(order: Order) -> tuple[int, int]:
    """Return bytes and entries of a run's workspace and temp folder together."""
    most = 4 * order.files
    parts = [measure(root, at_most=most) for root in (order.workspace, order.temporary)]
    return sum(size for size, _ in parts), sum(entries for _, entries in parts)
