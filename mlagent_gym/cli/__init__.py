"""The ``mlagent`` command. Each command is a module of this package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from mlagent_gym.cli import (
    check,
    doctor,
    export,
    grade,
    list_tasks,
    measure,
    new_task,
    play,
    prepare,
    replay,
    scores,
    states,
    view,
)
from mlagent_gym.cli.failures import Group

__all__ = ["app"]


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        print(f"mlagent-gym {version_of('mlagent-gym')}")
    except PackageNotFoundError:
        print("mlagent-gym, not installed")
    raise typer.Exit


app = typer.Typer(
    name="mlagent",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.command)


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Text-action environments for agents that do machine-learning engineering."""


app.command("list")(list_tasks.command)
app.command("prepare")(prepare.command)
app.command("check")(check.command)
app.command("grade")(grade.command)
app.command("measure")(measure.command)
app.command("new-task")(new_task.command)
app.command("play")(play.command)
app.command("replay")(replay.command)
app.command("scores")(scores.command)
app.command("export")(export.command)
app.command("view")(view.command)
app.add_typer(states.app, name="state")
