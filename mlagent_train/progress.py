"""What a stage shows while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["counting"]


@contextmanager
def counting(
    console: Console, what: str, total: int, count: Callable[[], tuple[int, str]]
) -> Iterator[Callable[[], None]]:
    """Show a progress bar; yield the function that brings it up to date.

    Parameters
    ----------
    console
        Where it is shown.
    what
        What is counted.
    total
        Where the count ends.
    count
        Returns how many there are and a word on the newest.
    """
    progress = Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    with progress:
        bar = progress.add_task(what, total=total, note="")

        def update() -> None:
            done, note = count()
            progress.update(bar, completed=done, note=note)

        update()
        yield update
        update()
