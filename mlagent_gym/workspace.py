"""The agent's folder, handled so that nothing an agent leaves in it can misdirect us.

Files are reached through :mod:`mlagent_gym.beneath`; what is not a plain file is swept
away. No process of the agent may be alive while a method runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym import beneath
from mlagent_gym.beneath import Entry
from mlagent_gym.errors import DiskFullError, WorkspaceError

__all__ = ["DATA_NAME", "Entry", "Workspace"]

DATA_NAME = "input"
"""Scripts see the data as ``../input``."""

_MAX_DEPTH = 16
_BYTECODE = "__pycache__"


@dataclass(frozen=True)
class _Seen:
    """What a file looked like when its digest was taken."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str


class Workspace:
    """A folder for one episode, beside a link to the data.

    Parameters
    ----------
    data
        Folder with the public data; linked as ``../input``.
    parent
        Where the episode's folder is made; None: the system's temp folder.
    max_files, max_mb
        What `snapshot` accepts to keep.
    """

    def __init__(
        self,
        data: Path,
        parent: Path | None = None,
        *,
        max_files: int = 1000,
        max_mb: int = 1024,
    ):
        self._root = Path(tempfile.mkdtemp(prefix="mlagent-", dir=parent))
        self.path = self._root / "work"
        self._data = data
        self._max_files = max_files
        self._max_bytes = max_mb * 2**20
        self._seen: dict[str, _Seen] = {}
        self.path.mkdir()
        (self._root / DATA_NAME).symlink_to(data.absolute(), target_is_directory=True)

    def close(self) -> None:
        """Delete the episode's folder."""
        beneath.delete(self._root)

    # -- single files

    def read(self, path: str, max_bytes: int = 2**20) -> bytes:
        """Return the content of a file of the workspace, or of the data below ``../input``.

        Raises
        ------
        WorkspaceError
            The path leads outside, or there is no plain file of at most `max_bytes`.
        """
        root, parts = self._locate(path, data_too=True)
        with beneath.open_folder(root, parts[:-1], path) as folder:
            return beneath.read_file(folder, parts[-1], path, max_bytes)

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the workspace, whole or not at all.

        Raises
        ------
        WorkspaceError
            The path leads outside or through something that is no folder.
        DiskFullError
            There is no room for it.
        """
        _, parts = self._locate(path)
        with (
            self._room_needed(),
            beneath.open_folder(self.path, parts[:-1], path, make=True) as folder,
        ):
            beneath.write_file(folder, parts[-1], path, content)

    def take(self, path: str, max_bytes: int) -> bytes | None:
        """Return the content of a file and remove it; None if there is nothing by that name.

        Raises
        ------
        WorkspaceError
            There is something, but no plain file of at most `max_bytes`. It is removed too.
        """
        _, parts = self._locate(path)
        self._seen.pop(path, None)
        with beneath.open_folder(self.path, parts[:-1], path) as folder:
            return beneath.take_file(folder, parts[-1], path, max_bytes)

    def exists(self, path: str) -> bool:
        """Whether anything has this name; raises `WorkspaceError` if it leads outside."""
        _, parts = self._locate(path)
        with beneath.open_folder(self.path, parts[:-1], path) as folder:
            return beneath.exists(folder, parts[-1])

    def remove(self, path: str) -> None:
        """Remove whatever has this name; raises `WorkspaceError` if it leads outside."""
        _, parts = self._locate(path)
        self._seen.pop(path, None)
        with beneath.open_folder(self.path, parts[:-1], path) as folder:
            beneath.remove(folder, parts[-1])

    def entries(self, path: str = ".") -> list[Entry]:
        """List a folder of the workspace or of the data, folders first, then by name.

        Raises
        ------
        WorkspaceError
            The path leads outside or is no folder.
        """
        root, parts = self._locate(path, data_too=True, allow_root=True)
        with beneath.open_folder(root, parts, path) as folder:
            entries = beneath.list_folder(folder)
        return [entry for entry in entries if entry.name != _BYTECODE]

    # -- the whole folder

    def snapshot(self, keep: Callable[[bytes], str]) -> dict[str, str]:
        """Return the digest of every file, by path, giving each changed content to `keep`.

        What is not a plain file with a plain name is removed first, and so are compiled
        bytecode and folders without files. Files unchanged since the last snapshot or
        restore are not read again.

        Parameters
        ----------
        keep
            Stores a content and returns its digest.

        Raises
        ------
        WorkspaceError
            There are more files or bytes than a state may hold. Nothing was kept.
        """
        found = self._sweep()
        total = sum(status.st_size for _, status in found)
        if len(found) > self._max_files or total > self._max_bytes:
            raise WorkspaceError(
                f"The workspace holds {len(found)} files with {total / 2**20:.0f} MB; at most "
                f"{self._max_files} files and {self._max_bytes // 2**20} MB can be kept."
            )
        seen = {path: self._digest(path, status, keep) for path, status in found}
        self._seen = seen
        return {path: entry.digest for path, entry in sorted(seen.items())}

    def restore(self, files: Mapping[str, str], get: Callable[[str], bytes]) -> None:
        """Make the folder hold exactly these files.

        Parameters
        ----------
        files
            Digest by path, as `snapshot` returned them.
        get
            Returns the content of a digest.

        Raises
        ------
        WorkspaceError
            No folder can hold files with these paths; what was there is gone.
        """
        contents = {
            path: get(digest)
            for path, digest in files.items()
            if not self._is_current(path, digest)
        }
        there = {path for path, _ in self._sweep(wanted=files)}
        folders: dict[tuple[str, ...], list[str]] = {}
        for path in contents:
            parts = self._locate(path)[1]
            if "/".join(parts) != path:
                raise WorkspaceError(f"{path[:200]!r} is not the plain path of a file.")
            folders.setdefault(parts[:-1], []).append(path)
        with self._room_needed():
            for parts, paths in folders.items():
                with beneath.open_folder(self.path, parts, paths[0], make=True) as folder:
                    for path in paths:
                        name = path.rpartition("/")[2]
                        if path in there:
                            beneath.remove(folder, name)
                        status = beneath.create_file(folder, name, path, contents[path])
                        self._seen[path] = _seen(status, files[path])
        self._seen = {path: self._seen[path] for path in files}

    # -- inside

    @contextlib.contextmanager
    def _room_needed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    f"There is no room left for the workspace at {self._root}. Free some, or set "
                    "TMPDIR to a folder on another disk."
                ) from error
            raise

    def _locate(
        self, path: str, *, data_too: bool = False, allow_root: bool = False
    ) -> tuple[Path, tuple[str, ...]]:
        """Return the folder a path starts at and its components beneath it."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        root = self.path
        if data_too and parts[:2] == ["..", DATA_NAME]:
            root, parts = self._data, parts[2:]
        if path.startswith("/") or ".." in parts:
            raise WorkspaceError(f"{path[:200]!r} is outside your workspace.")
        if not parts and not allow_root:
            raise WorkspaceError(f"{path[:200]!r} is not the name of a file.")
        if len(parts) > _MAX_DEPTH or any(not beneath.is_plain_name(part) for part in parts):
            raise WorkspaceError(f"{path[:200]!r} is not a name that can be used here.")
        return root, tuple(parts)

    def _sweep(self, wanted: Container[str] | None = None) -> list[tuple[str, os.stat_result]]:
        """Return every plain file with its status, removing everything else.

        What else there is: links, devices, files with several names, odd names, bytecode,
        folders without files, and files whose path is not in `wanted`, if that is given.
        """
        found: list[tuple[str, os.stat_result]] = []
        folders: list[tuple[str, ...]] = []
        pending: list[tuple[str, ...]] = [()]
        while pending:
            parts = pending.pop()
            folders.append(parts)
            where = self.path.joinpath(*parts)
            beneath.make_accessible(where)
            with os.scandir(where) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    path = "/".join((*parts, entry.name))
                    if _is_folder_to_enter(entry.name, status, len(parts)):
                        pending.append((*parts, entry.name))
                    elif _is_plain_file(entry.name, status) and (wanted is None or path in wanted):
                        found.append((path, status))
                    else:
                        beneath.delete(Path(entry.path))
        for parts in reversed(folders[1:]):  # a folder comes after the one it is in
            with contextlib.suppress(OSError):  # it is not empty
                self.path.joinpath(*parts).rmdir()
        return found

    def _digest(self, path: str, status: os.stat_result, keep: Callable[[bytes], str]) -> _Seen:
        known = self._seen.get(path)
        if known is not None and known == _seen(status, known.digest):
            return known
        if not status.st_mode & stat.S_IRUSR:
            (self.path / path).chmod(0o600)
        content = self.read(path, self._max_bytes)
        return _seen((self.path / path).lstat(), keep(content))

    def _is_current(self, path: str, digest: str) -> bool:
        known = self._seen.get(path)
        if known is None or known.digest != digest:
            return False
        try:
            return known == _seen((self.path / path).lstat(), digest)
        except OSError:
            return False


def _is_folder_to_enter(name: str, status: os.stat_result, depth: int) -> bool:
    return (
        stat.S_ISDIR(status.st_mode)
        and beneath.is_plain_name(name)
        and name != _BYTECODE
        and depth < _MAX_DEPTH - 1
    )


def _is_plain_file(name: str, status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and beneath.is_plain_name(name)


def _seen(status: os.stat_result, digest: str) -> _Seen:
    """Note a file's identity; its change time cannot be set by a script."""
    return _Seen(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)
