"""``mlagent grade``: the score of a submission file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mlagent_gym import boards, data, grading
from mlagent_gym.cli.selection import VariantOption, complete
from mlagent_gym.errors import SubmissionError, UsageError
from mlagent_gym.tasks import Task, load_task


def command(
    name: Annotated[
        str,
        typer.Argument(metavar="TASK", autocompletion=complete, help="Task the submission is for."),
    ],
    submission: Annotated[Path, typer.Argument(help="A submission.csv.")],
    variant: VariantOption = "synthetic",
    data_seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic data.")] = 0,
    data_size: Annotated[
        int | None, typer.Option(min=1, help="Training rows of the synthetic data.")
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="Another file with the true values.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Score a submission. Exit status 1 when it is not valid, with the reason."""
    task = load_task(name)
    report: dict[str, object] = {"task": task.id, "metric": grading.metric_of(task).name}
    if answers is None:
        prepared = data.of_variant(task, variant, seed=data_seed, size=data_size)
        answers = prepared.private / task.submission.answers
        report |= {"variant": prepared.variant, "fingerprint": prepared.fingerprint}
        if data.is_partial(prepared.variant):
            report["note"] = "partial data: the score cannot be compared with others"
    try:
        content = submission.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{submission} cannot be read: {error}. Name a CSV file that is there."
        ) from error
    try:
        result = grading.grade(task, answers, content)
    except SubmissionError as error:
        report |= {"valid": False, "reason": str(error)}
    else:
        report |= {"valid": True, "score": result.score, **result.also}
        if variant == "real":
            report |= _standing(task, result.score)
        if flag := grading.flag_of(task, variant, result.score):
            report["flag"] = flag
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        for key, value in report.items():
            print(f"{key}: {value}")
    if not report["valid"]:
        raise typer.Exit(1)


def _standing(task: Task, score: float) -> dict[str, object]:
    found = boards.standing(task, score, grading.metric_of(task))
    if found is None:
        return {}
    note = "" if found.comparable else "indicative: the board was scored on another test set"
    return {
        "medal": found.medal,
        "above_median": found.above_median,
        "percentile": round(found.percentile, 2),
        **({"note": note} if note else {}),
    }
