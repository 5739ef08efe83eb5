"""``mlagent doctor``: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Annotated

import typer

from mlagent_gym.doctor import Finding, Status, examine

_SHOWN = {
    Status.OK: ("ok", "green"),
    Status.ABSENT: ("none", "yellow"),
    Status.BROKEN: ("BROKEN", "red"),
}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look over machine, sandbox, packages, data and endpoints, and say what to do.

    Red is what does not work, yellow what is not there and only some uses need. Exit
    status 1 when something is broken that the environments cannot do without.
    """
    found = examine()
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
    else:
        _print(found)
    if any(one.needed and one.status is Status.BROKEN for one in found):
        raise typer.Exit(1)


def _print(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for section, members in itertools.groupby(found, lambda one: one.section):
        console.print(Text(f"\n{section}", style="bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=6)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in members:
            mark, style = _SHOWN[one.status]
            value = Text(one.value)
            if one.remedy:
                value.append(f"\n-> {one.remedy}", style=style)
            table.add_row(Text(mark, style=style), one.name, value)
        console.print(table)
    broken = [one for one in found if one.status is Status.BROKEN]
    needed = [one.name for one in broken if one.needed]
    end = (
        f"The environments cannot be used before this is put right: {', '.join(needed)}."
        if needed
        else f"The environments can be used; {len(broken)} of the lines above are red."
        if broken
        else "The environments can be used."
    )
    console.print(Text(f"\n{end}", style="red" if needed else "green"))
