"""The ``mlagent`` command. Each command is a module of this package."""

from __future__ import annotations

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

app = typer.Typer(
    name="mlagent",
    cls=Group,
    help="Text-action environments for agents that do machine-learning engineering.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.command)
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
