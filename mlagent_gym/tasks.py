"""A task is a folder below ``task_assets``; only this module knows where that is."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal, TypeVar

from mlagent_gym.errors import TaskError, UnknownTaskError

__all__ = [
    "MAIN_SCRIPT",
    "SUBMISSION",
    "Download",
    "Edit",
    "Idea",
    "KnownScore",
    "Leak",
    "OtherSplit",
    "RawFile",
    "RunLimits",
    "Submission",
    "Synthetic",
    "Task",
    "assets_root",
    "is_task_id",
    "load_ideas",
    "load_module",
    "load_task",
    "missing_packages",
    "task_ids",
]

MAIN_SCRIPT = "train.py"
"""The script every task starts with."""

SUBMISSION = "submission.csv"
"""What a script must leave in the workspace to be graded."""

_TASK_ID = re.compile(r"[a-z0-9][a-z0-9-]*")

Split = Literal["held-in", "held-out"]
Modality = Literal["image", "text", "tabular", "graph"]
CellKind = Literal["number", "probability", "distribution", "label", "ranking"]

_Class = TypeVar("_Class", bound=type)


def _strict(cls: _Class) -> _Class:
    """Make pydantic refuse unknown keys of a dataclass, without importing it here."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return cls


@_strict
@dataclass(frozen=True)
class Submission:
    """What ``submission.csv`` must look like.

    `cells` says what the target columns hold: any finite ``number``; a
    ``probability`` in [0, 1]; a ``distribution`` (probabilities that sum to 1 over the
    row); a ``label``; or a ``ranking``, labels separated by spaces, best first.
    """

    targets: tuple[str, ...]
    """Names of the predicted columns, in order."""
    id: str | None = None
    """Column that identifies a row; None: rows are matched by position."""
    cells: CellKind = "number"
    minimum: float | None = None
    """Smallest number accepted."""
    maximum: float | None = None
    """Largest number accepted."""
    labels: tuple[str, ...] = ()
    """Labels accepted; empty: any."""
    extra_columns: bool = False
    """Whether other columns may be there, unread, as the benchmark allows."""
    answers: str = "answers.csv"
    """File below the private folder with the true values, in the same columns."""
    sample: str = "sample_submission.csv"
    """File below the public folder that shows the form."""


@_strict
@dataclass(frozen=True)
class RunLimits:
    """What one run of a script on this task may use."""

    wall_s: float = 300.0
    memory_mb: int = 4096
    disk_mb: int = 1024


@_strict
@dataclass(frozen=True)
class RawFile:
    """A public file the real variant is made from."""

    name: str
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    optional: bool = False
    """Taken when it is there, not missed when it is not."""


@_strict
@dataclass(frozen=True)
class Download:
    """Where the raw files come from."""

    kaggle: str | None = None
    """Slug of a Kaggle competition."""
    url: str | None = None
    """Address of a file that needs no account."""
    note: str = ""
    """What a person has to do first, beyond having an account."""


@_strict
@dataclass(frozen=True)
class KnownScore:
    """A score on the real data that was measured or published elsewhere."""

    name: str
    """What scored it."""
    score: float
    source: str
    """Where the number is from."""
    note: str = ""
    """What keeps it from being comparable, if anything does."""


@_strict
@dataclass(frozen=True)
class OtherSplit:
    """Another way than the benchmark's to cut the real data in two."""

    prepare: str
    """Function of ``prepare.py`` that does it, with the arguments of ``prepare``."""
    note: str
    """What is different, and why one would want it."""
    checksums: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """As `Task.checksums`, of this split."""
    rows: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """As `Task.rows`, of this split."""


@_strict
@dataclass(frozen=True)
class Leak:
    """A way to the answers that the benchmark's split leaves open."""

    beyond: float
    """A score better than this one shows that it was taken."""
    note: str
    """What the way is."""


@_strict
@dataclass(frozen=True)
class Synthetic:
    """The stand-in data a task makes on the spot."""

    size: int
    """Rows (images, texts, nodes) of the training part by default."""


@_strict
@dataclass(frozen=True)
class Task:
    """What ``task.toml`` says, with the folder's name as `id`."""

    id: str
    folder: Path
    title: str
    benchmark: str
    split: Split
    modality: Modality
    metric: str
    """Name of a function in :mod:`mlagent_gym.metrics`, or ``"grade.py"``."""
    submission: Submission
    synthetic: Synthetic
    also: tuple[str, ...] = ()
    """Metrics reported beside the one that is optimised."""
    requires: tuple[str, ...] = ()
    """Packages the scripts of this task import beyond the project's own."""
    limits: RunLimits = RunLimits()
    download: Download = Download()
    raw: tuple[RawFile, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """md5 of prepared files as published by the benchmark, by path below the data folder."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Columns of every public CSV file, by path below the data folder."""
    rows: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Rows below the header of prepared CSV files, by path below the data folder."""
    other_splits: Mapping[str, OtherSplit] = field(default_factory=lambda: MappingProxyType({}))
    """Further splits of the same raw files, by the name `mlagent prepare --split` takes."""
    leak: Leak | None = None
    """What is wrong with the benchmark's split of the real data, if a score can show it."""
    best: KnownScore | None = None
    """Best score known on the real data."""
    board_is_comparable: bool = False
    """Whether the Kaggle board in ``board.csv`` was scored on the benchmark's test set."""
    known: tuple[KnownScore, ...] = ()
    """Further scores known on the real data."""

    @property
    def env_id(self) -> str:
        """Name of the environment in the Gymnasium registry."""
        return f"MLAgent/{self.id}-v0"

    @property
    def description(self) -> str:
        """Text the agent reads."""
        return (self.folder / "description.md").read_text(encoding="utf-8")

    def starter_files(self) -> dict[str, bytes]:
        """Return the files every episode starts with, by path in the workspace."""
        return _read_tree(self.folder / "starter")

    def reference_files(self) -> dict[str, bytes]:
        """Return the strong solution's files, by path in the workspace."""
        return _read_tree(self.folder / "reference")


@_strict
@dataclass(frozen=True)
class Edit:
    """One search-and-replace on a script."""

    search: str
    replace: str


@_strict
@dataclass(frozen=True)
class Idea:
    """One thing to try on a task, and the edit of the starter that tries it."""

    name: str
    """Short name, unique within the task."""
    idea: str
    """One sentence of what to try."""
    edits: tuple[Edit, ...]
    """Applied in order to `script`."""
    script: str = "train.py"


def assets_root() -> Path:
    """Return the folder of task folders: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    bundled = package / "task_assets"
    return bundled if bundled.is_dir() else package.parent / "task_assets"


def task_ids() -> tuple[str, ...]:
    """Return the name of every task folder, sorted. Reads no file."""
    return tuple(sorted(path.parent.name for path in assets_root().glob("*/task.toml")))


def is_task_id(text: str) -> bool:
    """Return whether a text can be the name of a task: lower-case letters, digits, hyphens."""
    return _TASK_ID.fullmatch(text) is not None


@functools.cache
def load_task(task_id: str) -> Task:
    """Read one task folder.

    Raises
    ------
    UnknownTaskError
        No folder has this name; the message offers the nearest ones.
    TaskError
        ``task.toml`` is not as it must be; the message names every wrong key.
    """
    folder = assets_root() / task_id
    if not is_task_id(task_id) or not (folder / "task.toml").is_file():
        raise UnknownTaskError(_unknown(task_id))
    table = _read_toml(folder / "task.toml")
    task: Task = _validate(Task, {**table, "id": task_id, "folder": folder}, folder / "task.toml")
    return task


def load_ideas(task: Task) -> tuple[Idea, ...]:
    """Read the ideas of a task, in the order of its ``ideas.toml``.

    Raises
    ------
    TaskError
        The file is missing or not as it must be.
    """
    path = task.folder / "ideas.toml"
    ideas: tuple[Idea, ...] = _validate(tuple[Idea, ...], _read_toml(path).get("ideas", []), path)
    return ideas


def missing_packages(task: Task) -> list[str]:
    """Return the packages that a task's scripts import and that are not installed here."""
    return [name for name in task.requires if importlib.util.find_spec(name) is None]


def load_module(task: Task, name: str) -> ModuleType:
    """Import ``<name>.py`` of a task folder by its path.

    Raises
    ------
    TaskError
        The folder has no such module.
    """
    path = task.folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(
        f"_mlagent_task_{task.id.replace('-', '_')}_{name}", path
    )
    if not path.is_file() or spec is None or spec.loader is None:
        raise TaskError(
            f"{path} is missing; every task folder has one (task_assets/README.md). Write it."
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unknown(task_id: str) -> str:
    known = task_ids()
    near = difflib.get_close_matches(task_id, known, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" Known: {', '.join(known)}."
    return f"There is no task {task_id!r} in {assets_root()}.{hint}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TaskError(f"{path} is missing; every task folder has one. Write it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} is not valid TOML: {error}. Fix it.") from error


def _validate(kind: Any, value: Any, path: Path) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()
        )
        raise TaskError(f"{path} breaks the contract of task folders: {wrong}.") from error


def _read_tree(root: Path) -> dict[str, bytes]:
    if not root.is_dir():
        raise TaskError(f"{root} is missing; every task folder has one. Write it.")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
