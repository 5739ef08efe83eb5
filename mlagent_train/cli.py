"""What the commands of all stages have in common."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mlagent_train.config import Config, load_config, preset_names
from mlagent_train.errors import MLAgentError, UsageError
from mlagent_train.hardware import gpu_count

__all__ = ["ConfigOption", "DryRunOption", "RunOption", "SetOption", "command", "guarded", "settle"]

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="NAME|FILE",
        help=f"A preset ({', '.join(preset_names())}) or a TOML or YAML file. "
        "Default: cpu-tiny, or h200x1 where there is a GPU.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key, as in ppo.updates=20."),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="FOLDER",
        help="Where the run is kept and resumed from. Default: runs/<name of the configuration>.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check everything, print OpenRLHF's full command and the resource plan, run nothing.",
    ),
]


def command(function: Callable[..., None]) -> typer.Typer:
    """Return the command-line program of a stage."""
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command()(function)
    return app


def settle(config: str | None, overrides: list[str] | None) -> Config:
    """Return the configuration that a command line names."""
    return load_config(config or ("h200x1" if gpu_count() else "cpu-tiny"), overrides or ())


def guarded(console: Console, work: Callable[[], Any]) -> None:
    """Do the work; show what goes wrong as one message and exit with 2 (usage) or 1."""
    try:
        work()
    except MLAgentError as error:
        console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None


def shell_command(module: str, argv: list[str]) -> str:
    """Return a command line, one option a line, that can be pasted into a shell."""
    lines, current = [f"python -m {module}"], ""
    for word in argv:
        if word.startswith("--") and not word.lstrip("-")[:1].isdigit():
            if current:
                lines.append(current)
            current = word
        else:
            current += f" {shlex.quote(word)}"
    return " \\\n  ".join([*lines, *([current] if current else [])])
