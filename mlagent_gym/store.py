"""A content-addressed store of file contents, shared by processes and safe against crashes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from mlagent_gym.errors import BlobCorruptError, BlobMissingError, DiskFullError, StoreError

__all__ = ["Staging", "Store", "digest_of"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = ".new-"
_NOTED_EVERY_S = 3600.0


def digest_of(content: bytes) -> str:
    """Return the name a content has in every store: its SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Store:
    """Blobs by digest below one folder.

    A blob appears under its name only when it is complete, is never changed afterwards
    and is checked against its name whenever it is read. Any number of processes may use
    one folder at once.

    Parameters
    ----------
    root
        Folder of the store; made when the first blob is put.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        self._unsynced: list[Path] = []

    def put(self, content: bytes) -> str:
        """Keep `content` and return its digest.

        A crash of the process after this loses nothing; a crash of the machine may,
        until `sync` has returned.

        Raises
        ------
        DiskFullError
            There is no room for it.
        """
        digest = digest_of(content)
        path = self._path(digest)
        with self._locked(fcntl.LOCK_SH):
            if not _renewed(path, len(content)):
                self._write(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the content with this digest.

        Raises
        ------
        BlobMissingError
            The store does not have it.
        BlobCorruptError
            What is stored is not what was put in.
        """
        path = self._path(digest)
        try:
            content = path.read_bytes()
            _note_use(path)
        except FileNotFoundError:
            raise BlobMissingError(
                f"{self.root} has no blob {digest}. A state is only whole with the store it was "
                "saved to: use that store, or export the state into one file and import it here."
            ) from None
        if digest_of(content) != digest:
            raise BlobCorruptError(
                f"{path} was damaged: its content no longer has the digest in its name. "
                "Delete the file and restore it from a copy of the store."
            )
        return content

    def take_over(self, digest: str, other: Store) -> None:
        """Move a blob here out of another store, by its name alone where a disk is shared.

        Raises
        ------
        BlobMissingError, BlobCorruptError
            The other store does not have it, or has it damaged.
        DiskFullError
            There is no room for it.
        """
        source, path = other._path(digest), self._path(digest)
        with self._locked(fcntl.LOCK_SH):
            if not _renewed(path, source.stat().st_size if source.is_file() else None):
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    os.utime(source)
                    source.replace(path)
                except OSError:
                    self._write(path, other.get(digest))
                else:
                    self._unsynced.append(path)
        source.unlink(missing_ok=True)

    def renew(self, digest: str) -> None:
        """Mark a blob as needed now, as if it had just been put.

        Raises
        ------
        BlobMissingError
            The store does not have it.
        """
        with self._locked(fcntl.LOCK_SH):
            if not _renewed(self._path(digest)):
                self.get(digest)

    def collect(self, needed: Container[str], *, older_than_s: float, dry_run: bool = False) -> int:
        """Delete blobs that nothing needs, and return how many bytes that frees.

        Safe while others write: what was put, renewed or read within `older_than_s` stays
        (a reading may count as up to an hour earlier), so that must be longer than a writer
        may take from its first blob to its saved state.

        Parameters
        ----------
        needed
            Digests that stay.
        older_than_s
            Least age, in seconds.
        dry_run
            Only count.
        """
        latest = time.time() - older_than_s
        freed = 0
        for path in self.root.glob("??/*"):
            if _DIGEST.fullmatch(digest := path.parent.name + path.name):
                if digest in needed:
                    continue
            elif not path.name.startswith(_UNFINISHED):
                continue
            with self._locked(fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime < latest:
                    freed += status.st_size
                    if not dry_run:
                        path.unlink()
        return freed

    def __contains__(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def __iter__(self) -> Iterator[str]:
        """Yield the digests of all blobs, in no order."""
        for path in self.root.glob("??/*"):
            if _DIGEST.fullmatch(digest := path.parent.name + path.name):
                yield digest

    def sync(self) -> None:
        """Wait until all this object has put is on the disk."""
        folders = {path.parent for path in self._unsynced}
        for path in (*self._unsynced, *folders):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._unsynced.clear()

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise StoreError(
                f"{digest[:80]!r} is not a digest: 64 hexadecimal digits are."
                " Give one that the store returned."
            )
        return self.root / digest[:2] / digest[2:]

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Keep blobs from being deleted (shared), or from being written (exclusive)."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / ".lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _write(self, path: Path, content: bytes) -> None:
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o444)
            Path(temporary).replace(path)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    f"There is no room left for the store at {self.root}. Free some, delete what "
                    "no state needs with `mlagent state gc`, or choose another `store`."
                ) from error
            raise
        self._unsynced.append(path)


class Staging:
    """Blobs on their way into a store, kept elsewhere until they are wanted there.

    Most states of step-wise training are never continued; their contents need not go
    where they stay. Small ones wait in memory, large ones in a temporary folder.

    Parameters
    ----------
    store
        Where blobs go.
    inline_bytes
        Larger blobs wait on the disk.
    """

    def __init__(self, store: Store, inline_bytes: int = 2**16):
        self._store = store
        self._inline_bytes = inline_bytes
        self._small: dict[str, bytes] = {}
        self._large: Store | None = None
        self._delete_large: Callable[[], object] | None = None

    def put(self, content: bytes) -> str:
        """Keep `content` and return its digest.

        Raises
        ------
        DiskFullError
            There is no room for it.
        """
        if len(content) > self._inline_bytes:
            return self._put_large(content)
        digest = digest_of(content)
        self._small[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        """Return the content with this digest, staged or stored; raises what `Store.get` does."""
        content = self._small.get(digest)
        if content is not None:
            return content
        if self._large is not None and digest in self._large:
            return self._large.get(digest)
        return self._store.get(digest)

    def commit(self, digests: Iterable[str]) -> None:
        """Bring these blobs into the store, and wait until they are on the disk.

        Raises
        ------
        BlobMissingError
            One is neither staged nor stored any more.
        """
        for digest in digests:
            if digest in self._small:
                self._store.put(self._small[digest])
            elif self._large is not None and digest in self._large:
                self._store.take_over(digest, self._large)
            else:
                self._store.renew(digest)
        self._store.sync()

    def clear(self) -> None:
        """Forget what was staged."""
        self._small.clear()
        self._large = None
        if self._delete_large is not None:
            self._delete_large()

    def _put_large(self, content: bytes) -> str:
        if self._large is None:
            folder = tempfile.mkdtemp(prefix="mlagent-staged-")
            self._large = Store(folder)
            self._delete_large = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            return self._large.put(content)
        except DiskFullError as error:
            raise DiskFullError(
                f"There is no room left for a step's files in {self._large.root}. Free some, or "
                "set TMPDIR to a folder on another disk."
            ) from error


def _renewed(path: Path, size: int | None = None) -> bool:
    """Make a blob young again; false if a whole one is not there.

    After a crash of the machine one may be cut short, which shows in its `size`.
    """
    try:
        os.utime(path)
        return size is None or path.stat().st_size == size
    except OSError:  # it is not there, or is another user's: it is written again
        return False


def _note_use(path: Path) -> None:
    """Make a blob young again that is being read, but not at every reading."""
    with contextlib.suppress(OSError):  # it is another user's
        if time.time() - path.stat().st_mtime > _NOTED_EVERY_S:
            os.utime(path)
