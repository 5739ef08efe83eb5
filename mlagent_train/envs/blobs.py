"""What states name by digest, on nodes that do not see the run's store.

A run's store is a folder beside its pool. Workers on a node that shares the folder use it;
for the others the blobs a step needs travel with its request, and new ones come back with
its answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlagent_gym import State, Store, StoreError, cache_root

__all__ = ["SharedFolder", "blobs_for", "keep_blobs", "local_folder", "new_blobs", "share_folder"]

Blobs = Mapping[str, bytes]
_MARK = ".shared"


@dataclass(frozen=True)
class SharedFolder:
    """A folder by its path here, and a mark by which others know it for the same one."""

    path: str
    mark: str

    def is_seen(self) -> bool:
        """Whether this machine has the same folder at the same path."""
        try:
            return (Path(self.path) / _MARK).read_text(encoding="utf-8") == self.mark
        except OSError:
            return False


def share_folder(path: str) -> SharedFolder:
    """Mark a folder, which is made if need be; a second call returns the same mark."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    if not mark.exists():
        mine = folder / f"{_MARK}-{uuid.uuid4().hex}"
        mine.write_text(mine.name, encoding="utf-8")
        with contextlib.suppress(FileExistsError):  # another pool was faster
            mark.hardlink_to(mine)
        mine.unlink()
    return SharedFolder(str(folder), mark.read_text(encoding="utf-8"))


def local_folder(shared: SharedFolder) -> Path:
    """Return where a node that does not see the folder keeps what was sent to it."""
    name = hashlib.sha256(f"{shared.path} {shared.mark}".encode()).hexdigest()[:16]
    return cache_root() / "carried" / name


def blobs_for(state: Mapping[str, Any] | None, store: Store) -> dict[str, bytes]:
    """Return everything that decoded JSON of a state needs.

    Raises
    ------
    StateError, StoreError
        It is no state, or the store does not have it all.
    """
    if state is None:
        return {}
    return {digest: store.get(digest) for digest in State.from_dict(state).blobs}


def new_blobs(state: Mapping[str, Any] | None, sent: Blobs, store: Store) -> dict[str, bytes]:
    """Return what a state needs beyond the blobs that were sent; raises as `blobs_for`."""
    if state is None:
        return {}
    return {digest: store.get(digest) for digest in State.from_dict(state).blobs - sent.keys()}


def keep_blobs(blobs: Blobs, store: Store) -> None:
    """Put blobs into a store and wait until they are on the disk.

    Raises
    ------
    StoreError
        A blob is not what its name says.
    """
    for digest, content in blobs.items():
        if store.put(content) != digest:
            raise StoreError(f"A blob came as {digest} and has another content. Run it again.")
    if blobs:
        store.sync()
