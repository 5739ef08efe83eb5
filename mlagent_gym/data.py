"""The data of a task: made or prepared once, kept in a cache, never changed afterwards.

::

    <cache root>/<task id>/<key>/
        public/         what scripts see as ../input
        private/        what only the grader may read (mode 0700)
        manifest.json   variant, fingerprint, size and origin of both

The variant is part of the identity of data: ``synthetic``; ``real``, split as the task's
benchmark does; ``real-<split>``, another split of the same raw files; and each of the real
ones with ``-partial`` behind it, made while raw files were missing. Scores on two variants
are never compared, and only those on ``real`` stand beside published ones.

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
from typing import Any

from mlagent_gym.errors import (
    ConfigError,
    DataCorruptError,
    DataMissingError,
    DiskFullError,
    MLAgentError,
    TaskError,
    UsageError,
)
from mlagent_gym.places import cache_root
from mlagent_gym.raw import check_prepared, file_digest, staged
from mlagent_gym.tasks import OtherSplit, Task, load_module

__all__ = [
    "Prepared",
    "cache_root",
    "is_partial",
    "of_variant",
    "prepare_real",
    "prepared_variants",
    "real",
    "real_variant",
    "synthesize",
    "synthetic",
    "variants",
    "verify",
]

_MANIFEST = "manifest.json"
_KEPT = ("variant", "fingerprint", "seed", "size")
_ABSENT = {"seed": None, "size": None}
_PARTIAL = "-partial"
_SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Prepared:
    """A task's data on disk, ready to be used."""

    task_id: str
    variant: str
    """Which of the task's data these are: see `variants`."""
    fingerprint: str
    """Digest of every public and private file: equal data, equal fingerprint."""
    folder: Path
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


def variants(task: Task) -> tuple[str, ...]:
    """Return the variants of data a task can run on."""
    splits = (None, *task.other_splits)
    real = (real_variant(task, split, partial=p) for p in (False, True) for split in splits)
    return ("synthetic", *real)


def real_variant(task: Task, split: str | None = None, *, partial: bool = False) -> str:
    """Return the name of the variant that a split of the real data is.

    Raises
    ------
    UsageError
        The task has no such split.
    """
    if split is not None and split not in task.other_splits:
        known = ", ".join(task.other_splits) or "none"
        raise UsageError(
            f"{task.id} has no split {split!r} beside {task.benchmark}'s own; known: {known}."
        )
    return "real" + (f"-{split}" if split else "") + (_PARTIAL if partial else "")


def is_partial(variant: str) -> bool:
    """Return whether data of a variant were made while raw files were missing."""
    return variant.endswith(_PARTIAL)


def prepared_variants(task: Task) -> list[str]:
    """Return the variants of the real data that are prepared on this machine."""
    home = cache_root() / task.id
    return [name for name in variants(task)[1:] if (home / name / _MANIFEST).is_file()]


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
    if variant in variants(task):
        return real(task, variant)
    raise ConfigError(
        f"There is no variant {variant!r} of {task.id}; known: {', '.join(variants(task))}."
    )


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


def real(task: Task, variant: str = "real") -> Prepared:
    """Return a task's real data of a variant as prepared earlier.

    Raises
    ------
    DataMissingError
        They were not prepared on this machine; the message says how to.
    """
    if kept := _load(task, variant):
        return kept
    split = variant.removesuffix(_PARTIAL).removeprefix("real").removeprefix("-")
    options = (f" --split {split}" if split else "") + (" --partial" if is_partial(variant) else "")
    there = prepared_variants(task)
    raise DataMissingError(
        f"The data of {task.id}, variant {variant}, are not in {cache_root()}. "
        f"Prepare them: mlagent prepare {task.id}{options}"
        + (f". Or use another variant, which is there: {', '.join(there)}." if there else "")
    )


def prepare_real(
    task: Task,
    raw: Path,
    *,
    split: str | None = None,
    partial: bool = False,
    again: bool = False,
) -> Prepared:
    """Split a task's real data into the cache.

    Parameters
    ----------
    task
        Names the raw files and what they must be.
    raw
        Folder with the raw files, unpacked or in the archives they are published in.
    split
        Which of the task's other splits; None: the benchmark's own.
    partial
        Go on without raw files that are missing and without the published checksums;
        the result is another variant, ``...-partial``.
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
    UsageError
        The task has no such split.
    """
    variant = real_variant(task, split, partial=partial)
    if not again and (kept := _load(task, variant)):
        return kept
    facts: Task | OtherSplit = task.other_splits[split] if split else task
    function = task.other_splits[split].prepare if split else "prepare"

    def make(public: Path, private: Path) -> None:
        files = staged(task, raw, public.parent, partial=partial)
        try:
            with files as unpacked, _task_faults(task, function):
                getattr(load_module(task, "prepare"), function)(unpacked, public, private)
        except FileNotFoundError as error:
            raise DataMissingError(
                f"{raw} lacks {Path(error.filename or 'a file').name}; "
                f"without it nothing can be made of {task.id}."
                " Get the raw files again."
            ) from error
        if not partial:
            check_prepared(task, facts, public.parent)

    return _make(task, variant, make, {"variant": variant}, again=again)


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
        if key.startswith("real") and kept["variant"] != key:
            raise DataCorruptError(
                f"{folder / _MANIFEST} is of the variant {kept['variant']!r}. Delete {folder} and "
                "prepare again."
            )
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
