"""``mlagent scores``: what starters, ideas and references score, as measured."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mlagent_gym.baselines import Scores, load_scores
from mlagent_gym.cli.selection import All, HeldIn, HeldOut, Names, VariantOption, select
from mlagent_gym.grading import metric_of
from mlagent_gym.metrics import Metric
from mlagent_gym.tasks import Task

_HEADER = (
    "task",
    "metric",
    "starter",
    "best single idea",
    "reference",
    "oracle",
    "ideas that help",
    "CPU s",
)


def command(
    names: Names = None,
    every: All = False,
    held_in: HeldIn = False,
    held_out: HeldOut = False,
    variant: VariantOption = "synthetic",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Print measured scores as a Markdown page: one table of tasks, one of ideas for each task.

    CPU seconds are those of the starter and of the reference. A gain of 0 is the starter, of
    1 the reference. Where the same ideas were also measured on the complete real data, their
    gains there stand beside those on the synthetic ones.
    """
    tasks = select(names, every=every, held_in=held_in, held_out=held_out)
    measured = [
        (task, scores)
        for task in tasks
        for scores in load_scores(task).values()
        if scores.variant == variant
    ]
    if as_json:
        print(json.dumps([_record(task, scores) for task, scores in measured], indent=2))
        return
    print(f"# Measured scores on {variant} data\n")
    command_line = f"mlagent scores --all --variant {variant}"
    print(f"Made by `{command_line}` out of the `scores.json` files, which `mlagent measure`")
    print("writes. A gain of 0 is the starter, of 1 the reference.")
    if variant == "synthetic":
        print("Where the real data could be had, gains on them show which ideas carry over.")
    print()
    _print_table(_HEADER, [_row(task, scores) for task, scores in measured])
    for task, scores in measured:
        print(f"\n## {task.id}\n")
        real = _same_on_real(task, scores)
        header = ("idea", "score", "gain", *(("gain on real data",) if real else ()))
        _print_table(header, _idea_rows(metric_of(task), scores, real))


def _gain(scores: Scores, score: float) -> float:
    start, best = scores.starter.score, scores.reference.score
    return (score - start) / (best - start)


def _best_first(metric: Metric, scores: Scores) -> list[tuple[str, float]]:
    by_name = ((name, measured.score) for name, measured in scores.ideas.items())
    return sorted(by_name, key=lambda idea: -metric.sign * idea[1])


def _row(task: Task, scores: Scores) -> tuple[str, ...]:
    metric = metric_of(task)
    ideas = _best_first(metric, scores)
    helping = sum(metric.better(score, scores.starter.score) for _, score in ideas)
    spread = f" ± {scores.starter.spread:.2g}" if scores.starter.spread else ""
    arrow = "↑" if metric.higher_is_better else "↓"
    return (
        f"`{task.id}`",
        f"{metric.title} {arrow}",
        f"{scores.starter.score:.5g}{spread}",
        f"{ideas[0][1]:.5g} ({ideas[0][0]})",
        f"{scores.reference.score:.5g}",
        "" if scores.oracle is None else f"{scores.oracle:.5g}",
        f"{helping} of {len(ideas)}",
        f"{scores.starter.cpu_s:.1f}, {scores.reference.cpu_s:.1f}",
    )


def _same_on_real(task: Task, scores: Scores) -> Scores | None:
    """Return what the same scripts and ideas scored on the real data, if that was measured."""
    what = (scores.scripts, scores.ideas_digest)
    measured = (
        one for one in load_scores(task).values() if one.variant == "real" != scores.variant
    )
    return next((one for one in measured if (one.scripts, one.ideas_digest) == what), None)


def _idea_rows(metric: Metric, scores: Scores, real: Scores | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, score in _best_first(metric, scores):
        row = (name, f"{score:.5g}", f"{_gain(scores, score):+.2f}")
        rows.append((*row, f"{_gain(real, real.ideas[name].score):+.2f}") if real else row)
    return rows


def _record(task: Task, scores: Scores) -> dict[str, object]:
    return {
        "task": task.id,
        "metric": task.metric,
        "fingerprint": scores.fingerprint,
        "starter": scores.starter.score,
        "starter_spread": scores.starter.spread,
        "reference": scores.reference.score,
        "oracle": scores.oracle,
        "ideas": {
            name: {"score": one.score, "gain": _gain(scores, one.score)}
            for name, one in scores.ideas.items()
        },
    }


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    for row in (header, ("---",) * len(header), *rows):
        print(f"| {' | '.join(row)} |")
