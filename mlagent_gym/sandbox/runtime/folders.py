"""How much stands in a folder that somebody else may be writing to."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence

__all__ = ["Growth", "measure"]


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


class Growth:
    """How much is added to some folders from now on.

    Parameters
    ----------
    roots
        The folders. They are counted as a whole now, while nobody writes to them.
    entries
        How many may be added. Later, counting ends far above that: whoever writes may be faster
        than whoever counts.
    """

    def __init__(self, roots: Sequence[str], entries: int):
        self._roots = roots
        self._before = self._count(sys.maxsize)
        self._at_most = self._before[1] + 4 * entries

    def measure(self, deleted_bytes: int = 0) -> tuple[int, int]:
        """Return the bytes and entries added so far; less than before counts as nothing.

        `deleted_bytes` are in files that have no name any more, but are still open.
        """
        size, entries = self._count(self._at_most)
        size += deleted_bytes
        return max(size - self._before[0], 0), max(entries - self._before[1], 0)

    def _count(self, at_most: int) -> tuple[int, int]:
        parts = [measure(root, at_most=at_most) for root in self._roots]
        return sum(size for size, _ in parts), sum(entries for _, entries in parts)
