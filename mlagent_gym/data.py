"""The data of a task: made or prepared once, kept in a cache, never changed afterwards.

::

    <cache root>/<task id>/<key>/
        public/         what scripts see as ../input
        private/        what only the grader may read (mode 0700)
        manifest.json   variant, fingerprint, size and origin of both

A folder appears in the cache whole or not at all: it is made beside its final place and
renamed. Processes that want the same data at once wait for the one that makes it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlagent_gym.errors import (
    ConfigError,
    DataCorruptError,
    DataMissingError,
    DiskFullError,
    MLAgentError,
    TaskError,
    UsageError,
)
from mlagent_gym.raw import check_prepared, file_digest, staged
from mlagent_gym.tasks import Task, load_module

__all__ = [
    "Prepared",
    "Variant",
    "cache_root",
    "of_variant",
    "prepare_real",
    "real",
    "synthesize",
    "synthetic",
    "verify",
]

Variant = Literal["synthetic", "real"]

_MANIFEST = "manifest.json"
_KEPT = ("variant", "fingerprint", "partial", "seed", "size")
_ABSENT = {"partial": False, "seed": None, "size": None}
_SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Prepared:
    """A task's data on disk, ready to be used."""

    task_id: str
    variant: Variant
    fingerprint: str
    """Digest of every public and private file: equal data, equal fingerprint."""
    folder: Path
    partial: bool = False
    """Whether raw files were missing when the real data were prepared."""
    seed: int | None = None
    """Seed of synthetic data."""
    size: int | None = None
    """Training rows (images, texts, nodes) of synthetic data."""

    @property
    def public(self) -> Path:
        """Folder that scripts see as ``../input``."""
        return self.folder / "public"

    @property
    def private(self) -> Path:
        """Folder with the answers, for the grader alone."""
        return self.folder / "private"


def cache_root() -> Path:
    """Return the folder that prepared data are kept in.

    It is named by the environment variable ``MLAGENT_CACHE``, or else lies where the
    operating system wants caches to be.
    """
    if named := os.environ.get("MLAGENT_CACHE"):
        return Path(named).expanduser().resolve()
    import platformdirs

    return platformdirs.user_cache_path("mlagent-gym")


def of_variant(task: Task, variant: str, *, seed: int = 0, size: int | None = None) -> Prepared:
    """Return a task's data of a variant; seed and size are those of synthetic data.

    Raises
    ------
    ConfigError
        There is no such variant.
    DataMissingError
        The real data were not prepared.
    """
    if variant == "synthetic":
        return synthetic(task, seed=seed, size=size)
    if variant == "real":
        return real(task)
    raise ConfigError(f"There is no variant {variant!r}; known: synthetic, real.")


def synthetic(task: Task, *, seed: int = 0, size: int | None = None) -> Prepared:
    """Return a task's stand-in data, making them if they are not in the cache.

    Parameters
    ----------
    task
        Its ``prepare.py`` makes the data.
    seed
        Data of different seeds share no row.
    size
        Training rows (images, texts, nodes); None: the task's default.

    Raises
    ------
    DiskFullError
        The cache has no room for them.
    TaskError
        The task's ``prepare.py`` failed.
    """
    size = task.synthetic.size if size is None else size
    if size < 1 or seed < 0:
        raise UsageError(f"Synthetic data need size >= 1 and seed >= 0, not {size} and {seed}.")
    # Another recipe makes other data: its digest is part of the key.
    recipe = hashlib.sha256((task.folder / "prepare.py").read_bytes()).hexdigest()[:8]
    key = f"synthetic-seed{seed}-size{size}-{recipe}"

    def make(public: Path, private: Path) -> None:
        synthesize(task, public, private, seed=seed, size=size)

    kept = _load(task, key)
    return kept or _make(task, key, make, {"variant": "synthetic", "seed": seed, "size": size})


def synthesize(task: Task, public: Path, private: Path, *, seed: int, size: int) -> None:
    """Make synthetic data in two empty folders, without the cache.

    Raises
    ------
    TaskError
        The task's ``prepare.py`` failed.
    """
    with _task_faults(task, "synthesize"):
        load_module(task, "prepare").synthesize(public, private, seed=seed, size=size)


def real(task: Task) -> Prepared:
    """Return a task's real data as prepared earlier, the complete ones if there are both.

    Raises
    ------
    DataMissingError
        They were not prepared on this machine; the message says how to.
    """
    kept = _load(task, "real") or _load(task, "real-partial")
    if kept is None:
        raise DataMissingError(
            f"The real data of {task.id} are not in {cache_root()}. "
            f"Prepare them: mlagent prepare {task.id}"
        )
    return kept


def prepare_real(task: Task, raw: Path, *, partial: bool = False, again: bool = False) -> Prepared:
    """Split a task's real data as its benchmark does, into the cache.

    Parameters
    ----------
    task
        Names the raw files and what they must be.
    raw
        Folder with the raw files, unpacked or in the archives they are published in.
    partial
        Go on without raw files that are missing and without the published checksums;
        the result is labelled so everywhere.
    again
        Prepare them anew when they are in the cache already.

    Raises
    ------
    DataMissingError
        Raw files are missing.
    DataCorruptError
        A raw or prepared file is not what the benchmark published.
    DiskFullError
        The cache has no room for them.
    """
    key = "real-partial" if partial else "real"
    if not again and (kept := _load(task, key)):
        return kept

    def make(public: Path, private: Path) -> None:
        files = staged(task, raw, public.parent, partial=partial)
        try:
            with files as unpacked, _task_faults(task, "prepare"):
                load_module(task, "prepare").prepare(unpacked, public, private)
        except FileNotFoundError as error:
            raise DataMissingError(
                f"{raw} lacks {Path(error.filename or 'a file').name}; "
                f"without it nothing can be made of {task.id}."
                " Get the raw files again."
            ) from error
        if not partial:
            check_prepared(task, public.parent)

    return _make(task, key, make, {"variant": "real", "partial": partial}, again=again)


def verify(prepared: Prepared) -> None:
    """Read every file and compare the digest with the one taken when the data were made.

    Raises
    ------
    DataCorruptError
        A file was changed, added or removed since.
    """
    if _fingerprint(prepared.folder) != prepared.fingerprint:
        raise DataCorruptError(
            f"The data in {prepared.folder} were changed after they were made. "
            "Delete that folder and prepare them again."
        )


def _load(task: Task, key: str) -> Prepared | None:
    folder = cache_root() / task.id / key
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        kept = {name: manifest[name] for name in _KEPT}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise DataCorruptError(
            f"{folder / _MANIFEST} cannot be read ({error}). Delete {folder} and prepare again."
        ) from error
    return Prepared(task_id=task.id, folder=folder, **kept)


def _make(
    task: Task,
    key: str,
    make: Callable[[Path, Path], None],
    facts: dict[str, Any],
    *,
    again: bool = False,
) -> Prepared:
    """Make one folder of the cache, whole or not at all, in one process at a time."""
    from filelock import FileLock

    home = cache_root() / task.id
    with _disk_faults(home):
        home.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(home).free < _SPARE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with FileLock(home / f".{key}.lock"):
            if not again and (kept := _load(task, key)):
                return kept  # another process made it while we waited
            with tempfile.TemporaryDirectory(prefix=f".{key}-", dir=home) as temporary:
                folder = Path(temporary) / key
                for name, mode in (("public", 0o755), ("private", 0o700)):
                    (folder / name).mkdir(parents=True, mode=mode)
                make(folder / "public", folder / "private")
                manifest = {**_ABSENT, **facts, "fingerprint": _seal(folder)}
                manifest["versions"] = _versions()
                (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
                if (home / key).exists():
                    (home / key).rename(Path(temporary) / "old")
                folder.rename(home / key)
                return Prepared(task.id, folder=home / key, **{k: manifest[k] for k in _KEPT})


@contextmanager
def _task_faults(task: Task, function: str) -> Iterator[None]:
    """Say that a task's own code failed; what it raises on purpose passes."""
    try:
        yield
    except (MLAgentError, OSError):
        raise
    except Exception as error:
        raise TaskError(
            f"{function}() in {task.folder / 'prepare.py'} failed: {type(error).__name__}: {error}"
            ". Fix it, or the raw files it reads."
        ) from error


@contextmanager
def _disk_faults(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            f"There is no room in {home} for more data. Free some, "
            "or name another folder in the environment variable MLAGENT_CACHE."
        ) from error


def _seal(folder: Path) -> str:
    """Make every file read-only and return the fingerprint of all of them."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    return _fingerprint(folder)


def _fingerprint(folder: Path) -> str:
    total = hashlib.sha256()
    for part in ("public", "private"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                total.update(f"{name}\0{file_digest(path)}\n".encode())
    return total.hexdigest()[:32]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("numpy", "pandas", "pillow", "scikit-learn")}
