"""``mlagent replay``: recorded steps once more, and what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mlagent_gym.cli.states import StoreOption, open_store
from mlagent_gym.replay import Compared, regrade, replay


def command(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    store: StoreOption = None,
    grade_only: Annotated[
        bool, typer.Option("--grade-only", help="Run nothing: grade the kept submissions again.")
    ] = False,
    executor: Annotated[str, typer.Option(help="What runs the scripts.")] = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Count differences of texts as differences.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Carry out a recording's steps again and report where results differ.

    Exit status 1 when they do. Texts may differ without consequence, as when a script
    prints the time it took; they are reported and count with --strict only.
    """
    blobs = open_store(store)
    compared = (
        regrade(file, blobs) if grade_only else replay(file, store=blobs.root, executor=executor)
    )
    rows = []
    for one in compared:
        rows.append(_row(one, strict))
        if not as_json:
            _print(rows[-1])
    differing = sum(not row["same"] for row in rows)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"{len(rows)} steps, {differing} with other results")
    if differing:
        raise typer.Exit(1)


def _row(one: Compared, strict: bool) -> dict[str, object]:
    record = one.record
    return {
        "episode": record.episode,
        "task": record.state.task,
        "step": record.next_state.step,
        "action": record.action["name"],
        "same": not one.differences if strict else one.same,
        "differences": {
            difference.field: [difference.recorded, difference.now]
            for difference in one.differences
        },
    }


def _print(row: dict[str, object]) -> None:
    print(
        f"{'same' if row['same'] else 'OTHER':5} {row['task']}  {str(row['episode'])[:8]} "
        f"step {row['step']}  {row['action']}"
    )
    differences = row["differences"]
    assert isinstance(differences, dict)
    for field, (then, now) in differences.items():
        short = [repr(value)[:70] for value in (then, now)]
        print(f"        {field}: recorded {short[0]}, now {short[1]}")
