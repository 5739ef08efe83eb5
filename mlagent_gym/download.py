"""Raw files from where they are published, with well-kept clients.

Kaggle competitions come through ``kagglehub`` with the user's own credentials; files that
need no account come through ``pooch``. Both resume, and leave alone what is there.
"""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from mlagent_gym.errors import DataMissingError, DiskFullError, MissingPackageError
from mlagent_gym.tasks import Task

__all__ = ["fetch"]

Client = Callable[[Task, Path], None]


def fetch(task: Task, into: Path, *, client: Client | None = None) -> None:
    """Download a task's raw files into a folder.

    Parameters
    ----------
    task
        Names the competition, or the address.
    into
        Folder to download to; made if need be.
    client
        Downloads; None: the one for where the task's files are.

    Raises
    ------
    DataMissingError
        They could not be had; the message says what a person has to do.
    DiskFullError
        There is no room for them.
    MissingPackageError
        The client is not installed.
    """
    if client is None:
        client = _from_kaggle if task.download.kaggle else _from_address
    into.mkdir(parents=True, exist_ok=True)
    try:
        client(task, into)
    except OSError as error:  # requests' errors are OSErrors, too
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"There is no room in {into} for {task.id}."
                " Free some, or name another folder in MLAGENT_CACHE."
            ) from error
        raise _failed(task, error) from error


def _from_kaggle(task: Task, into: Path) -> None:
    _require(task, "kagglehub")
    import kagglehub
    from kagglehub import exceptions

    try:
        kagglehub.competition_download(task.download.kaggle, output_dir=str(into))
    except (
        exceptions.CredentialError,
        exceptions.UnauthenticatedError,
        exceptions.BackendError,
        exceptions.DataCorruptionError,
        exceptions.NotFoundError,
    ) as error:
        raise _failed(task, error) from error


def _from_address(task: Task, into: Path) -> None:
    _require(task, "pooch")
    import pooch

    address = task.download.url or ""
    name = PurePosixPath(urlsplit(address).path).name
    md5 = next((file.md5 for file in task.raw if file.name == name and file.md5), None)
    try:
        pooch.retrieve(address, known_hash=md5 and f"md5:{md5}", fname=name, path=into)
    except ValueError as error:  # what came has another checksum
        raise _failed(task, error) from error


def _require(task: Task, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(
            f"Downloading {task.id} needs {package}: pip install 'mlagent-gym[download]'. "
            f"Or download by hand, and then: mlagent prepare {task.id} --raw FOLDER"
        )


def _failed(task: Task, error: Exception) -> DataMissingError:
    steps = [task.download.note] if task.download.note else []
    if task.download.kaggle:
        steps.append(
            "Have Kaggle credentials in ~/.kaggle or in KAGGLE_API_TOKEN "
            "(https://www.kaggle.com/settings)."
        )
    steps.append(f"Or download by hand, and then: mlagent prepare {task.id} --raw FOLDER")
    return DataMissingError(
        f"The raw files of {task.id} could not be downloaded "
        f"({type(error).__name__}: {error})." + "".join(f"\n  {step}" for step in steps)
    )
