"""``mlagent check``: the contract of task folders, for people who add a task."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Annotated

import typer

from mlagent_gym.cli.selection import All, HeldIn, HeldOut, Names, select
from mlagent_gym.contract import CHECKS, Bench, UncheckableError
from mlagent_gym.errors import TaskError
from mlagent_gym.sandbox import make_executor


def command(
    names: Names = None,
    every: All = False,
    held_in: HeldIn = False,
    held_out: HeldOut = False,
    only: Annotated[str, typer.Option(help="Run only the checks whose name contains this.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check that task folders keep every promise of the contract (task_assets/README.md)."""
    tasks = select(names, every=every, held_in=held_in, held_out=held_out)
    checks = {name: check for name, check in CHECKS.items() if only in name}
    results = []
    with closing(make_executor("auto")) as executor:
        for task in tasks:
            bench = Bench(task, executor)
            for name, check in checks.items():
                outcome, message = "kept", ""
                try:
                    check(bench)
                except UncheckableError as reason:
                    outcome, message = "not checked", str(reason)
                except TaskError as error:
                    outcome, message = "broken", str(error)
                results.append({"task": task.id, "check": name, "outcome": outcome})
                results[-1] |= {"message": message} if message else {}
                if not as_json:
                    note = f": {message}" if message else ""
                    print(f"{outcome:11} {task.id}  {name.replace('_', ' ')}{note}")
    if as_json:
        print(json.dumps(results, indent=2))
    if any(result["outcome"] == "broken" for result in results):
        raise typer.Exit(1)
