"""Which tasks a command works on, told by names or by tags."""

from __future__ import annotations

from typing import Annotated

import typer

from mlagent_gym.errors import UsageError
from mlagent_gym.tasks import Task, load_task, task_ids

__all__ = ["All", "HeldIn", "HeldOut", "Names", "VariantOption", "complete", "select"]


def complete(incomplete: str) -> list[str]:
    """Return the tasks whose names begin so, for a shell that completes them."""
    return [name for name in task_ids() if name.startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Argument(help="Tasks, by the names `mlagent list` shows.", autocompletion=complete),
]
All = Annotated[bool, typer.Option("--all", help="Every task.")]
HeldIn = Annotated[bool, typer.Option("--held-in", help="The tasks to train on.")]
HeldOut = Annotated[bool, typer.Option("--held-out", help="The tasks to evaluate on.")]
VariantOption = Annotated[
    str,
    typer.Option(
        "--variant",
        help="Which data: synthetic, real, real-partial, or real-SPLIT for another split.",
    ),
]


def select(
    names: list[str] | None, *, every: bool = False, held_in: bool = False, held_out: bool = False
) -> list[Task]:
    """Return the tasks that names and tags ask for.

    Raises
    ------
    UsageError
        Nothing was asked for, or names and tags at once.
    """
    if bool(names) == (every or held_in or held_out):
        raise UsageError("Name tasks, or say --all, --held-in or --held-out.")
    if names:
        return [load_task(name) for name in names]
    wanted = {"held-in": held_in or every, "held-out": held_out or every}
    return [task for task in map(load_task, task_ids()) if wanted[task.split]]
