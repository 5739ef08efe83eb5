"""``mlagent measure``: run starter, reference and ideas, and write what they score."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from mlagent_gym import data, grading
from mlagent_gym.baselines import Measured, Scores, ideas_digest, load_scores, scripts_digest
from mlagent_gym.cli.selection import All, HeldIn, HeldOut, Names, VariantOption, select
from mlagent_gym.data import Prepared
from mlagent_gym.errors import TaskError, UsageError
from mlagent_gym.executor import Executor
from mlagent_gym.sandbox import make_executor
from mlagent_gym.tasks import Task, load_ideas
from mlagent_gym.trials import apply_idea, reseed, try_files

_PACKAGES = ("numpy", "pandas", "scikit-learn", "pillow", "torch")


def command(
    names: Names = None,
    every: All = False,
    held_in: HeldIn = False,
    held_out: HeldOut = False,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds the starter runs with.")] = 5,
    variant: VariantOption = "synthetic",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the scores, write nothing.")
    ] = False,
) -> None:
    """Run each task's starter (over seeds), reference and ideas, and write its scores.json.

    Scores are recorded by the fingerprint of the data; those of older synthetic data go.
    """
    with closing(make_executor("auto")) as executor:
        for task in select(names, every=every, held_in=held_in, held_out=held_out):
            prepared = data.of_variant(task, variant)
            if data.is_partial(prepared.variant) and not dry_run:
                raise UsageError(
                    f"Scores on partial data of {task.id} are not kept, since they mean nothing"
                    " elsewhere. Prepare all of them, or say --dry-run."
                )
            scores = _measure(task, prepared, executor, seeds)
            _report(task, scores)
            if not dry_run:
                _write(task, scores)


def _measure(task: Task, prepared: Prepared, executor: Executor, seeds: int) -> Scores:
    def run(files: Mapping[str, bytes], what: str) -> Measured:
        trial = try_files(task, prepared, executor, files)
        if trial.score is None:
            raise TaskError(
                f"{what} of {task.id} has no score: {trial.reason}"
                " Fix it, then run this again: what was measured is kept."
            )
        return Measured(score=float(f"{trial.score:.8g}"), cpu_s=round(trial.run.cpu_s, 2))

    starter = task.starter_files()
    runs = [run(reseed(starter, seed), f"The starter, seed {seed},") for seed in range(seeds)]
    by_seed = tuple(one.score for one in runs)
    as_it_is = run(starter, "The starter")
    oracle = prepared.private / "oracle.csv"
    answers = prepared.private / task.submission.answers
    return Scores(
        variant=prepared.variant,
        fingerprint=prepared.fingerprint,
        scripts=scripts_digest(task),
        seed=prepared.seed,
        size=prepared.size,
        starter=Measured(
            score=as_it_is.score,
            cpu_s=as_it_is.cpu_s,
            spread=float(f"{statistics.stdev(by_seed):.4g}"),
            scores=by_seed,
        ),
        reference=run(task.reference_files(), "The reference"),
        oracle=grading.grade(task, answers, oracle.read_bytes()).score
        if oracle.is_file()
        else None,
        ideas={
            idea.name: run(apply_idea(starter, idea), f"Idea {idea.name!r}")
            for idea in load_ideas(task)
        },
        ideas_digest=ideas_digest(task),
        provenance={
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            **{name: found for name in _PACKAGES if (found := _version(name))},
        },
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _report(task: Task, scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    sign = grading.metric_of(task).sign
    start, best = scores.starter.score, scores.reference.score
    table = Table("solution", "score", "gain", "CPU s", title=task.id)

    def add(name: str, score: float, cpu_s: float | None = None) -> None:
        gain = (score - start) / (best - start) if best != start else 0.0
        table.add_row(name, f"{score:.5g}", f"{gain:+.2f}", "" if cpu_s is None else f"{cpu_s:.1f}")

    add(f"starter (spread {scores.starter.spread:.2g})", start, scores.starter.cpu_s)
    ideas = sorted(scores.ideas.items(), key=lambda item: -sign * item[1].score)
    for name, measured in ideas:
        add(name, measured.score, measured.cpu_s)
    add("reference", best, scores.reference.cpu_s)
    if scores.oracle is not None:
        add("oracle", scores.oracle)
    Console().print(table)


def _write(task: Task, scores: Scores) -> None:
    from pydantic import TypeAdapter

    kept = [one for one in load_scores(task).values() if one.variant != scores.variant]
    content = TypeAdapter(list[Scores]).dump_json([*kept, scores], indent=1, exclude_none=True)
    path = task.folder / "scores.json"
    path.write_bytes(content + b"\n")
    print(f"Wrote {path}")
