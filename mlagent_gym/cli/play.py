"""``mlagent play``: a person in the agent's place."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from mlagent_gym.actions import render
from mlagent_gym.cli.selection import VariantOption, complete
from mlagent_gym.env import MLAgentEnv
from mlagent_gym.errors import ConfigError, UsageError
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.recording import resume as go_on
from mlagent_gym.tasks import MAIN_SCRIPT, load_task

__all__ = ["HELP", "command", "to_reply"]

HELP = """\
  ls [FOLDER]                list a folder; the data are in ../input
  show FILE [FROM [TO]]      lines of a file
  edit [FILE]                open it in your editor ($EDITOR), then run and grade it
  run [FILE]                 run and grade it as it is
  undo [FILE]                take back its last edit
  cp FROM TO                 copy a file
  ai FILE WHAT TO CHANGE     have the editor model edit it (where one is configured)
  ask FILE WHAT TO LOOK FOR  have the editor model read it
  done [TEXT]                end the episode
  raw                        type a reply as an agent would; a line with "." ends it
  save FILE                  save the state
  quit                       leave; a recorded episode can be resumed
  FILE is train.py where it may be left out."""


def command(
    name: Annotated[
        str, typer.Argument(metavar="TASK", autocompletion=complete, help="Task to play.")
    ],
    variant: VariantOption = "synthetic",
    data_seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic data.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the episode.")] = 0,
    record: Annotated[Path | None, typer.Option(help="File to record the episode to.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last episode of the recording.")
    ] = False,
    state: Annotated[Path | None, typer.Option(help="Saved state to start from.")] = None,
) -> None:
    """Play an episode in the terminal: look, edit, run, and see how the score moves."""
    import gymnasium as gym

    if resume and record is None:
        raise UsageError("--resume needs the recording: --record FILE.")
    env: gym.Env[str, str]
    if resume and record is not None:
        env, _, _ = go_on(record, render_mode="human")
    else:
        env = gym.make(
            load_task(name).env_id,
            variant=variant,
            data_seed=data_seed,
            render_mode="human",
            disable_env_checker=True,
        )
        env = env if record is None else RecordEpisode(env, record)
        env.reset(seed=seed, options={"state": state})
    with closing(env):
        _play(env)


def _play(env: Any) -> None:
    print(HELP)
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            return
        if line in ("quit", "exit"):
            return
        try:
            if line.startswith("save "):
                env.unwrapped.state().save(line[5:].strip())
                continue
            reply = to_reply(line, functools.partial(_read, env.unwrapped), _edit, input)
        except UsageError as error:
            print(error)
            continue
        _, reward, terminated, truncated, info = env.step(reply)
        print(f"reward {reward:.3f}  outcome {info['outcome']}")
        if info["flag"]:
            print(f"suspicious: {info['flag']}")
        if terminated or truncated:
            print(f"The episode has ended; best score {info['best_score']:.5g}.")
            return


def to_reply(
    line: str,
    read: Callable[[str], str],
    edit: Callable[[str], str | None],
    ask: Callable[[], str],
) -> str:
    """Return the reply that a typed command means.

    Parameters
    ----------
    line
        What was typed.
    read
        Returns the text of a file of the workspace; empty if there is none.
    edit
        Lets the person edit a text; None if it was left as it was.
    ask
        Returns another line.

    Raises
    ------
    UsageError
        It means nothing; the message is the help.
    """
    try:
        word, *rest = shlex.split(line)
    except ValueError:  # nothing was typed, or a quote is open
        raise UsageError(HELP) from None
    script = rest[0] if rest else MAIN_SCRIPT
    words = " ".join(rest[1:])
    match word, len(rest):
        case "ls", 0 | 1:
            return render("List Files", {"dir_path": rest[0] if rest else "."})
        case "show", 1 | 2 | 3 if all(number.isdecimal() for number in rest[1:]):
            names = ("start_line_number", "end_line_number")
            lines = dict(zip(names, map(int, rest[1:]), strict=False))
            return render("Inspect Script Lines", {"script_name": script, **lines})
        case "run", 0 | 1:
            return render("Execute Script", {"script_name": script})
        case "undo", 0 | 1:
            return render("Undo Edit Script", {"script_name": script})
        case "cp", 2:
            return render("Copy File", {"source": rest[0], "destination": rest[1]})
        case "ai", _ if words:
            return render("Edit Script (AI)", {"script_name": script, "edit_instruction": words})
        case "ask", _ if words:
            return render("Understand File", {"file_name": script, "things_to_look_for": words})
        case "done", _:
            return render("Final Answer", {"final_answer": " ".join(rest)})
        case "edit", 0 | 1:
            text = edit(read(script))
            if text is None:
                raise UsageError(
                    "Nothing was changed. Save the file in the editor to make an edit."
                )
            return render("Edit Script", {"script_name": script, "content": text})
        case "raw", 0:
            return "\n".join(iter(ask, "."))
    raise UsageError(HELP)


def _read(env: MLAgentEnv, path: str) -> str:
    digest = env.state().files.get(path)
    return "" if digest is None else env.store.get(digest).decode("utf-8", "replace")


def _edit(text: str) -> str | None:
    import click

    try:
        return click.edit(text, extension=".py", require_save=True)
    except click.ClickException as error:
        raise ConfigError(
            f"Your editor cannot be opened: {error.message} Set EDITOR to one that is installed."
        ) from error
