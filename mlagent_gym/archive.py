"""Files that hold states (saved ones, pools, recordings), and taking them elsewhere as one file."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mlagent_gym.errors import BlobCorruptError, BlobMissingError, StateCorruptError
from mlagent_gym.state import State
from mlagent_gym.store import Store, digest_of

__all__ = ["blobs_of", "export_states", "import_states", "read_states"]

_CONTENT, _BLOBS = "content/", "blobs/"
_KEYS = ("state", "next_state")


def read_states(path: str | os.PathLike[str]) -> Iterator[State]:
    """Yield the states in a file, one at a time.

    Parameters
    ----------
    path
        A saved state, a pool or a recording.

    Raises
    ------
    StateCorruptError
        It is none of these.
    """
    for values in _objects(path):
        yield from (State.from_dict(one) for one in _states_in(values))


def blobs_of(path: str | os.PathLike[str]) -> set[str]:
    """Return the digests of everything that the states and records of a file need."""
    needed: set[str] = set()
    for values in _objects(path):
        needed.update(*(State.from_dict(one).blobs for one in _states_in(values)))
        if isinstance(submission := values.get("submission"), str):
            needed.add(submission)
    return needed


def export_states(
    path: str | os.PathLike[str], target: str | os.PathLike[str], store: Store
) -> None:
    """Write a file of states and all blobs they need into one archive.

    Raises
    ------
    StateCorruptError
        The file holds no states.
    StoreError
        The store does not have a blob, or has it damaged.
    """
    source, archive = Path(path), Path(target)
    needed = sorted(blobs_of(source))
    temporary = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(source, _CONTENT + source.name)
            for digest in needed:
                file.writestr(_BLOBS + digest, store.get(digest))
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)


def import_states(
    archive: str | os.PathLike[str], folder: str | os.PathLike[str], store: Store
) -> Path:
    """Bring the blobs of an archive into a store and write its file of states.

    Parameters
    ----------
    archive
        What `export_states` wrote.
    folder
        Where the file goes, under the name it had.
    store
        Where the blobs go.

    Returns
    -------
    Path
        The file of states.

    Raises
    ------
    StateCorruptError
        It is no such archive, or the file would overwrite another.
    StoreError
        A blob in it is damaged or missing.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.startswith(_CONTENT)]
            if len(names) != 1:
                raise StateCorruptError(
                    f"{archive} is not an archive of states."
                    " Name one that `mlagent state export` wrote."
                )
            content = file.read(names[0])
            for name in file.namelist():
                if name.startswith(_BLOBS):
                    _import_blob(name.removeprefix(_BLOBS), file.read(name), store, archive)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise StateCorruptError(
            f"{archive} is not an archive of states: {error}."
            " Name one that `mlagent state export` wrote."
        ) from error
    store.sync()
    target = Path(folder) / PurePath(names[0]).name
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        if missing := [digest for digest in blobs_of(temporary) if digest not in store]:
            raise BlobMissingError(
                f"{archive} lacks {len(missing)} blobs, {missing[0]} for one."
                " Export it again where the store is whole."
            )
        target.hardlink_to(temporary)  # never in place of another file
    except OSError as error:
        raise StateCorruptError(
            f"{target} cannot be written: {error.strerror}. Choose another folder with --to."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _import_blob(digest: str, content: bytes, store: Store, archive: object) -> None:
    if digest_of(content) != digest:
        raise BlobCorruptError(
            f"{archive} was damaged: a content has not the digest {digest}. Export it again."
        )
    store.put(content)


def _objects(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file, one a line; a torn last line is left out."""
    number = 0
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                values = _decoded(line)
                if isinstance(values, dict):
                    yield values
                elif number == 1 or line.endswith(b"\n"):
                    raise StateCorruptError(
                        f"{path}, line {number}: this holds no state."
                        " Give a state, a pool or a recording."
                    )
    except OSError as error:
        raise StateCorruptError(
            f"{path} cannot be read: {error.strerror}. Give a file that is there and readable."
        ) from error
    if number == 0:
        raise StateCorruptError(
            f"{path} is empty. Name a file with a state, a pool or a recording."
        )


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _states_in(values: dict[str, Any]) -> list[Any]:
    """Return what are states in one line: itself, or what its keys say."""
    return [values[key] for key in _KEYS if key in values] or [values]
