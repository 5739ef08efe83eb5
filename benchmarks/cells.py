"""The figures of a benchmark as cells of tables, the same in every form of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Interval, Summary, TaskFigures, Trajectory
from benchmarks.results import Results
from mlagent_gym import load_task
from mlagent_gym.data import is_partial
from mlagent_gym.grading import metric_of

__all__ = [
    "Cell",
    "Cells",
    "described",
    "failure_cells",
    "figure_cells",
    "label",
    "paper_cells",
    "trajectory_cells",
]

_PAPER = Path(__file__).parent / "paper.json"
_ACCURACY = "accuracy_at_half"  # what the paper reports where its benchmark grades otherwise


@dataclass(frozen=True)
class Cell:
    """A text, and the unrounded number it shows, if it shows one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Cells:
    """A table: rows of cells under names of columns."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    links: Sequence[str] = ()
    """For each row, what it leads to."""


def label(results: Results) -> str:
    """Return what the scores are of, in a few words."""
    variant = results.protocol.variant
    if variant == "synthetic":
        return "SYNTHETIC DATA"
    if is_partial(variant):
        return "PARTIAL REAL DATA"
    return "real data" if variant == "real" else f"REAL DATA, SPLIT {variant.upper()}"


def described(results: Results) -> str:
    """Return in words what was run."""
    protocol = results.protocol
    text = (
        f"{protocol.trajectories} trajectories a task, {protocol.max_steps} steps or "
        f"{protocol.max_seconds / 60:g} minutes each, scaffold {protocol.scaffold}, prompt "
        f"{protocol.prompt}, seeds from {protocol.seed}. Average and best are over the best "
        "scores of the trajectories. Relative gain is the gain over the starter's score as a "
        "share of it, normalised gain as a share of the reference's gain; both are means with "
        "95 % bootstrap intervals. Tokens and dollars are of all trajectories, minutes of one."
    )
    if protocol.variant == "synthetic":
        text += (
            " The data are synthetic: scores compare with each other, not with the paper's or "
            "with Kaggle's."
        )
    elif is_partial(protocol.variant):
        text += " Raw files were missing: scores compare with nothing but the same partial data."
    if regraded := results.regraded():
        text += (
            f" Graded again at revision {regraded['by']['revision']}: {regraded['changed']} of "
            f"{regraded['graded']} scores changed."
        )
    return text


def figure_cells(results: Results, summary: Summary) -> Cells:
    """Return the main table: one row a task, and means."""
    boards = any(figures.percentile is not None for figures in summary.tasks.values())
    columns = [
        *("task", "metric", "starter", "reference", "average", "best"),
        *("relative gain", "normalised gain", "valid actions", "graded runs"),
        *(("medals", "percentile") if boards else ()),
        *("tokens", "dollars", "minutes", "trajectories", "failed"),
    ]
    rows = [
        _row(name, _metric(name), figures, _standing(name, figures) if boards else ())
        for name, figures in summary.tasks.items()
    ]
    rows += [
        _row(f"mean of {name}", "", figures, (Cell(""), Cell("")) if boards else ())
        for name, figures in summary.splits.items()
    ]
    note = (
        "Medals and percentiles are places on the Kaggle board; they are indicative where the "
        "board was scored on another test set than the benchmark's."
        if boards
        else ""
    )
    return Cells("figures", columns, rows, note)


def paper_cells(results: Results, summary: Summary) -> Cells:
    """Return the paper's Table 1 with our column beside it."""
    paper = json.loads(_PAPER.read_text(encoding="utf-8"))
    real = results.protocol.variant == "real"
    ours = f"{results.protocol.policy} (ours{'' if real else ', ' + label(results)})"
    rows = []
    for row in paper["rows"]:
        theirs = [Cell(_pair(row["avg"][m], row["best"][m])) for m in paper["methods"]]
        figures = summary.tasks.get(row["task"])
        mine = _ours(row["task"], row["metric"], figures) if figures else Cell("-")
        rows.append([Cell(row["task"]), Cell(row["metric"]), *theirs, mine])
    note = f"{paper['source']}. Cells: average / best."
    if not real:
        note += (
            f" Our column is on {label(results).lower()}: it shows that the row runs and must "
            "not be compared with the paper's columns."
        )
    return Cells("paper", ["task", "metric", *paper["methods"], ours], rows, note)


def failure_cells(summary: Summary) -> Cells | None:
    """Return how often steps failed in which way, by task; None if none did."""
    kinds = sorted({kind for figures in summary.tasks.values() for kind in figures.failure_kinds})
    rows = [
        [Cell(task), *(_count(figures.failure_kinds.get(kind, 0)) for kind in kinds)]
        for task, figures in summary.tasks.items()
        if figures.failure_kinds
    ]
    return Cells("failures", ["task", *kinds], rows) if rows else None


def trajectory_cells(task: str, trajectories: Sequence[Trajectory], links: Sequence[str]) -> Cells:
    """Return one row a trajectory; `links` says where each can be looked at."""
    columns = ("number", "steps", "best", "relative gain", "reward", "failures", "tokens")
    rows = [
        [
            Cell(str(row.number)),
            _count(len(row.scores)),
            _number(row.best),
            _percent(row.relative_gain),
            Cell(f"{row.reward:.2f}", row.reward),
            _count(len(row.failures)),
            _count(row.tokens),
            Cell(f"{row.cost:.4f}", row.cost),
            _minutes(row.seconds),
        ]
        for row in trajectories
    ]
    return Cells(f"trajectories-{task}", [*columns, "dollars", "minutes"], rows, links=links)


def _row(name: str, metric: str, figures: TaskFigures, standing: Sequence[Cell]) -> list[Cell]:
    share, normalised = figures.success_share, figures.normalised_gain
    return [
        Cell(name),
        Cell(metric),
        _number(figures.initial),
        _number(figures.reference),
        _number(figures.average),
        _number(figures.best),
        _percent_interval(figures.relative_gain),
        Cell(f"{normalised.mean:.2f}{_range(normalised, 1.0, '.2f')}", normalised.mean),
        _percent(figures.valid_share, 0),
        Cell("-") if math.isnan(share) else _percent(share, 0),
        *standing,
        _count(figures.tokens),
        Cell(f"{figures.cost:.4g}", figures.cost),
        _minutes(figures.seconds),
        _count(figures.trajectories),
        _count(figures.failed),
    ]


def _metric(name: str) -> str:
    metric = metric_of(load_task(name))
    return f"{metric.name} {'↑' if metric.higher_is_better else '↓'}"


def _standing(name: str, figures: TaskFigures) -> tuple[Cell, Cell]:
    if figures.percentile is None:
        return Cell("-"), Cell("-")
    medals = figures.medals or {}
    won = [f"{medals[kind]} {kind}" for kind in ("gold", "silver", "bronze") if kind in medals]
    note = "" if load_task(name).board_is_comparable else " (indicative)"
    return (
        Cell((", ".join(won) or "none") + note),
        Cell(f"{figures.percentile:.1f}{note}", figures.percentile),
    )


def _ours(task: str, metric: str, figures: TaskFigures) -> Cell:
    """Return our average and best in the paper's unit, or in our own by name."""
    assert figures.average is not None  # it is one task's
    assert figures.best is not None
    average, best = figures.average, figures.best
    percent = "%" in metric
    if percent and (own := metric_of(load_task(task)).name) != "accuracy":
        if _ACCURACY not in figures.also:
            return Cell(f"{_pair(average, best)} ({own})", average)
        average, best = figures.also[_ACCURACY]
    scale = 100.0 if percent else 1.0
    return Cell(_pair(scale * average, scale * best), scale * average)


def _pair(average: float, best: float) -> str:
    return f"{average:.5g} / {best:.5g}"


def _number(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:.5g}", value)


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _minutes(seconds: float) -> Cell:
    return Cell(f"{seconds / 60:.2f}", seconds / 60)


def _percent(share: float, digits: int = 1) -> Cell:
    return Cell(f"{100 * share:.{digits}f} %", 100 * share)


def _percent_interval(value: Interval) -> Cell:
    return Cell(f"{100 * value.mean:.1f} %{_range(value, 100.0, '.1f')}", 100 * value.mean)


def _range(value: Interval, scale: float, form: str) -> str:
    if math.isnan(value.low):
        return ""
    return f" [{scale * value.low:{form}}, {scale * value.high:{form}}]"
