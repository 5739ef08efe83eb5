"""Raw files of the real data: found, unpacked and checked before a task splits them."""

from __future__ import annotations

import hashlib
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from mlagent_gym.errors import DataCorruptError, DataMissingError, MissingPackageError
from mlagent_gym.tasks import OtherSplit, RawFile, Task

__all__ = ["check_prepared", "file_digest", "staged"]

Unpack: TypeAlias = Callable[[list[str], Path], None]

_ARCHIVES = (".zip", ".7z")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextmanager
def staged(task: Task, raw: Path, scratch: Path, *, partial: bool = False) -> Iterator[Path]:
    """Give a folder that holds a task's raw files under the names in its ``task.toml``.

    A name that ends in ``/`` is a folder. What is not in `raw` itself is
    looked for in the archives there, also in archives within an archive, as Kaggle packs
    them.

    Parameters
    ----------
    task
        Names the files.
    raw
        Folder the user gave; left as it is.
    scratch
        Folder on the disk to unpack on.
    partial
        Leave out what is missing and take what differs from the published checksum.

    Raises
    ------
    DataMissingError
        `raw` is no folder, or a file is in it neither by name nor in an archive.
    DataCorruptError
        A file's size or checksum differs from the published one, or an archive is damaged.
    MissingPackageError
        An archive needs a package that is not installed.
    """
    if not raw.is_dir():
        raise DataMissingError(
            f"{raw} is not a folder with the raw files of {task.id}."
            " Name the folder that holds them, or leave --raw out to download them."
        )
    with tempfile.TemporaryDirectory(prefix=".raw-", dir=scratch) as temporary:
        stage, unpacked = Path(temporary) / "raw", Path(temporary) / "unpacked"
        stage.mkdir()
        missing = []
        for file in task.raw:
            source = _find(file.name, raw, unpacked)
            if source is None:
                missing += [] if file.optional else [file.name]
                continue
            if not partial:
                _check_raw(task, file, source)
            (stage / file.name).parent.mkdir(parents=True, exist_ok=True)
            (stage / file.name).symlink_to(source.resolve())
        if missing and not partial:
            raise DataMissingError(
                f"{raw} lacks {', '.join(missing)} of {task.id}. {_origin(task)} "
                "With --partial, what is there is used."
            )
        yield stage


def check_prepared(task: Task, split: Task | OtherSplit, folder: Path) -> None:
    """Compare prepared files with the checksums and row counts published for a split.

    Raises
    ------
    DataCorruptError
        A file is not as published, byte for byte.
    """
    for name, expected_rows in split.rows.items():
        import pandas as pd

        rows = len(pd.read_csv(folder / name, usecols=[0]))
        if rows != expected_rows:
            raise DataCorruptError(
                f"{name} of {task.id} has {rows} rows, {task.benchmark} has {expected_rows}. "
                "Raw files are incomplete. " + _origin(task)
            )
    for name, expected in split.checksums.items():
        found = file_digest(folder / name, "md5") if (folder / name).is_file() else "no file"
        if found != expected:
            raise DataCorruptError(
                f"{name} of {task.id} has the md5 {found}, {task.benchmark} has {expected}: "
                "the raw files differ from those the benchmark was made from. " + _origin(task)
            )


def _find(name: str, raw: Path, unpacked: Path) -> Path | None:
    if (raw / name).exists():
        return raw / name
    for archive in sorted(path for path in raw.iterdir() if path.suffix in _ARCHIVES):
        for found in _members(archive, name, unpacked / archive.name):
            return found
    return None


def _members(archive: Path, name: str, into: Path) -> Iterator[Path]:
    """Unpack what has this name, be it inside an archive that is itself a member."""
    with _opened(archive) as (members, unpack):
        if name.endswith("/") and (inside := [m for m in members if m.startswith(name)]):
            unpack(inside, into)
            yield into / name
        for member in members:
            if member == name or PurePosixPath(member).name == name:
                unpack([member], into)
                yield into / member
        for member in members:
            if PurePosixPath(member).suffix in _ARCHIVES:
                inner = into / member
                if not inner.is_file():
                    unpack([member], into)
                yield from _members(inner, name, inner.with_suffix(".unpacked"))


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[str], Unpack]]:
    """Give the members of an archive and what unpacks some of them into a folder.

    Members whose path leads elsewhere are left out.
    """
    if archive.suffix == ".7z":
        open_archive, damage = _seven_zip(archive)
    else:
        open_archive, damage = zipfile.ZipFile, (zipfile.BadZipFile, zlib.error, EOFError)
    try:
        with open_archive(archive) as packed:

            def unpack(members: list[str], into: Path) -> None:
                if archive.suffix == ".7z":
                    packed.reset()  # it reads from where it stopped
                    packed.extract(into, members)
                else:
                    packed.extractall(into, members)

            paths = packed.namelist()
            yield [p for p in paths if ".." not in p.split("/") and not p.startswith("/")], unpack
    except damage as error:
        raise DataCorruptError(
            f"{archive.name} cannot be unpacked ({type(error).__name__}: {error}). It was perhaps"
            " not downloaded whole: get it again."
        ) from error


def _seven_zip(archive: Path) -> tuple[Callable[[Path], Any], tuple[type[Exception], ...]]:
    try:
        import py7zr
    except ModuleNotFoundError:
        raise MissingPackageError(
            f"Unpacking {archive.name} needs py7zr: pip install 'mlagent-gym[download]'. "
            "Or unpack it by hand, into the folder where it is."
        ) from None
    return py7zr.SevenZipFile, (py7zr.exceptions.ArchiveError, lzma.LZMAError, EOFError)


def _check_raw(task: Task, file: RawFile, path: Path) -> None:
    if path.is_dir():
        return
    if file.bytes is not None and path.stat().st_size != file.bytes:
        raise DataCorruptError(
            f"{path} has {path.stat().st_size:,} bytes instead of {file.bytes:,}. {_origin(task)}"
        )
    for algorithm, expected in (("md5", file.md5), ("sha256", file.sha256)):
        if expected is not None and (found := file_digest(path, algorithm)) != expected:
            raise DataCorruptError(
                f"{path} has the {algorithm} {found} instead of {expected}. {_origin(task)}"
            )


def _origin(task: Task) -> str:
    if task.download.kaggle:
        place = f"https://www.kaggle.com/competitions/{task.download.kaggle}/data"
    else:
        place = task.download.url or "its publisher"
    return f"Get the files again from {place}."
