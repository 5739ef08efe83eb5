"""``mlagent prepare``: a task's real data, split as its benchmark does."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import typer

from mlagent_gym import data
from mlagent_gym.cli.selection import All, HeldIn, HeldOut, Names, select
from mlagent_gym.download import fetch
from mlagent_gym.errors import MLAgentError
from mlagent_gym.tasks import load_task


def command(
    names: Names = None,
    every: All = False,
    held_in: HeldIn = False,
    held_out: HeldOut = False,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the raw files, or with one folder for each task. "
            "Without it they are downloaded."
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Use what is there when raw files are missing, for trying."),
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(help="Another split than the benchmark's, by the name `mlagent list` shows."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Prepare data anew.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Tasks to prepare at once.")] = 1,
) -> None:
    """Get a task's raw files, check them, and split them into the cache as the benchmark does.

    What was prepared or downloaded before is not done again. What --partial and --split make
    is a variant of its own, real-partial or real-SPLIT, beside the benchmark's.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

    tasks = select(names, every=every, held_in=held_in, held_out=held_out)
    for task in tasks:
        data.real_variant(task, split)  # wrong use is told before the work begins
    columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], MofNCompleteColumn())
    failed = 0
    with (
        Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool,
    ):
        bar = progress.add_task("preparing", total=len(tasks))
        runs = {
            pool.submit(
                prepare_one, task.id, raw, split=split, partial=partial, again=again
            ): task.id
            for task in tasks
        }
        for run in as_completed(runs):
            done, message = run.result()
            failed += not done
            print(f"{'prepared' if done else 'failed'} {runs[run]}: {message}", flush=True)
            progress.advance(bar)
    if failed:
        raise typer.Exit(1)


def prepare_one(
    name: str, raw: Path | None, *, split: str | None, partial: bool, again: bool
) -> tuple[bool, str]:
    """Prepare one task; return whether it was done, and the folder or what went wrong."""
    task = load_task(name)
    try:
        if raw is None:
            folder = data.cache_root() / "raw" / task.id
            fetch(task, folder)
        else:
            named = (raw / part for part in (task.id, task.download.kaggle) if part)
            folder = next((path for path in named if path.is_dir()), raw)
        prepared = data.prepare_real(task, folder, split=split, partial=partial, again=again)
    except MLAgentError as error:
        return False, str(error)
    made = f"{prepared.folder}, variant {prepared.variant}"
    if partial:
        return True, f"{made} (partial: scores are not comparable)"
    if split is None:
        checked = f"{len(task.checksums)} checksums and {len(task.rows)} row counts"
        return True, f"{made} ({checked} are those of {task.benchmark})"
    facts = task.other_splits[split]
    checked = f"{len(facts.checksums)} checksums and {len(facts.rows)} row counts"
    return True, f"{made} ({checked} are as published)"
