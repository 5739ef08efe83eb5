"""``mlagent new-task``: the folder of a task to be written."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from mlagent_gym.errors import UsageError
from mlagent_gym.tasks import assets_root, is_task_id, load_task

_MEASURED = ("scores.json", "board.csv")


def command(
    name: Annotated[str, typer.Argument(help="Id of the new task: lower-case letters, -, digits.")],
    like: Annotated[str, typer.Option(help="Task to start from.")] = "house-price",
) -> None:
    """Start a task folder as a copy of another one, to be changed file by file."""
    source, target = load_task(like).folder, assets_root() / name
    if not is_task_id(name):
        raise UsageError(f"{name!r} is no task id: use lower-case letters, digits and hyphens.")
    if target.exists():
        raise UsageError(f"{target} is there already. Choose another name, or remove it.")
    unwanted = shutil.ignore_patterns("__pycache__", *_MEASURED)
    shutil.copytree(source, target, ignore=unwanted)
    print(
        f"{target} is a copy of {like}. Change every file (task_assets/README.md says how), then:\n"
        f"  mlagent measure {name}\n"
        f"  mlagent check {name}"
    )
