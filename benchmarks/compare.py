"""Compare two benchmarks trajectory by trajectory: ``python -m benchmarks.compare A B``."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.figures import paired_test
from benchmarks.protocol import differences, remarks
from benchmarks.report import without_nan
from benchmarks.results import Results, open_results
from mlagent_gym import MLAgentError

app = typer.Typer(add_completion=False)


def data_differences(ours: Results, theirs: Results) -> list[str]:
    """Return the tasks whose data differ between two results, one sentence each."""
    mine, other = ours.fingerprints(), theirs.fingerprints()
    return [
        f"the data of {task} have another fingerprint"
        for task in sorted(mine.keys() & other.keys())
        if mine[task] != other[task]
    ]


def scale_differences(ours: Results, theirs: Results) -> list[str]:
    """Return the tasks whose starter or reference scored differently, one sentence each."""
    mine, other = (
        {row.task: (row.initial, row.reference) for row in results.trajectories()}
        for results in (ours, theirs)
    )
    return [
        f"starter or reference of {task} have other scores (one was graded again, say)"
        for task in sorted(mine.keys() & other.keys())
        if mine[task] != other[task]
    ]


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a benchmark.")],
    second: Annotated[Path, typer.Argument(help="Folder of another.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare although protocols or data differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say whether the first policy gains more than the second, over the same trajectories.

    The difference of the relative gain, a mean over tasks, has a 95 % bootstrap interval; the
    p-value is of a paired permutation test. Results of different variants, limits, seeds or
    data are refused.
    """
    console = Console()
    try:
        ours, theirs = open_results(first), open_results(second)
        found = [
            *differences(ours.protocol, theirs.protocol),
            *data_differences(ours, theirs),
            *scale_differences(ours, theirs),
        ]
        if found and not anyway:
            console.print("These results do not compare: " + "; ".join(found) + ".")
            console.print("Use --anyway to compare them all the same.")
            raise typer.Exit(1)
        found += remarks(ours.protocol, theirs.protocol)
        tested = paired_test(list(ours.trajectories()), list(theirs.trajectories()))
    except (MLAgentError, ValueError) as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(without_nan(asdict(tested)) | {"differences": found}))
        return
    change = tested.difference
    ends = "" if isnan(change.low) else f" [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
    console.print(
        f"{ours.protocol.policy} gains {100 * change.mean:+.2f} points of relative gain over "
        f"{theirs.protocol.policy}{ends}, p = {tested.p_value:.4f}, {tested.pairs} pairs.",
        highlight=False,
    )
    for difference in found:
        console.print(f"[yellow]not the same[/]: {difference}", highlight=False)


if __name__ == "__main__":
    app()
