"""Run the experiments and write the page: ``python -m benchmarks.learning``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.learning.plan import ARMS, FULL, QUICK, QUICK_ARMS
from benchmarks.learning.report import write_report
from benchmarks.learning.stages import SHARED, STAGES, Bench, carry_out, works
from mlagent_gym import MLAgentError, UsageError
from mlagent_train.run import require_packages


def main(
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Small runs of one seed and four of the arms: about ten minutes on two cores.",
        ),
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every run; --quick: 1.")] = 3,
    stage: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this stage: {', '.join(STAGES)}, report. May be repeated."),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this way of training: {', '.join(ARMS)}. May be repeated. "
            f"Default: all; --quick: {', '.join(QUICK_ARMS)}."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Only this one of the seeds. May be repeated.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Where the runs are kept and resumed from. "
            "Default: runs/learning, or runs/learning-quick."
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Also write the page here, with its pictures beside it in images/ and its "
            "figures with the ending .json. Figures of other runs that are there stay."
        ),
    ] = None,
) -> None:
    """Test the paper's three claims with small models on this machine.

    * PPO improves the policy over its warm start, on held-in and on held-out tasks.
    * Step-wise PPO learns more than episode-wise PPO in the same time.
    * A warm start on diverse ideas is a better start than one on a single idea, or none.

    Every run goes through the project's own stages and OpenRLHF. Killed at any moment, the
    same command goes on where it was. The page and results.json are written again after
    every finished run.
    """
    console = Console()
    chosen = set(stage or (*STAGES, "report"))
    if unknown := chosen - {*STAGES, "report"}:
        raise typer.BadParameter(f"there is no stage {', '.join(sorted(unknown))}")
    arms = set(arm or (QUICK_ARMS if quick else ARMS))
    if unknown := arms - set(ARMS):
        raise typer.BadParameter(f"there is no arm {', '.join(sorted(unknown))}")
    if unknown := set(seed or ()) - set(range(seeds)):
        raise typer.BadParameter(
            f"seed {', '.join(map(str, sorted(unknown)))} is none of the first {seeds}: "
            "raise --seeds"
        )
    folder = (work or Path("runs") / ("learning-quick" if quick else "learning")).resolve()
    size = QUICK if quick else FULL
    bench = Bench(folder, size, (0,) if quick else tuple(range(seeds)))
    try:
        require_packages()
        for piece in works(bench):
            others = piece.stage not in SHARED and (
                piece.arm not in arms or (seed and piece.seed not in seed)
            )
            if piece.stage not in chosen or others:
                continue
            began = time.monotonic()
            console.rule(f"[bold]{piece.stage}[/] {piece.arm}, seed {piece.seed}")
            carry_out(piece, console)
            console.print(f"  {time.monotonic() - began:.0f} s")
            if piece.stage in ("after", "best-of-n") and "report" in chosen:
                write_report(bench, page)
        if "report" in chosen:
            console.print(f"Written: {write_report(bench, page)}")
    except MLAgentError as error:
        console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None


if __name__ == "__main__":
    typer.run(main)
