"""``mlagent list``: the tasks there are."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from mlagent_gym import data
from mlagent_gym.baselines import load_scores
from mlagent_gym.grading import metric_of
from mlagent_gym.tasks import load_task, task_ids

_SHOWN = (
    "task",
    "split",
    "modality",
    "metric",
    "better",
    "starter",
    "reference",
    "requires",
    "prepared",
)
_PIPE_WIDTH = 200


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the tasks: kind, metric, and what starter and reference score on synthetic data.

    Under "prepared" stand the variants of real data on this machine: "real" ones are complete
    and split as the benchmark does; "real-partial" ones lack raw files. --json also has the
    other splits that can be prepared.
    """
    rows = [_row(name) for name in task_ids()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in _SHOWN:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in _SHOWN))
    # A pipe has no width: give the table all it wants.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def _row(name: str) -> dict[str, object]:
    task = load_task(name)
    metric = metric_of(task)
    scores = next((s for s in load_scores(task).values() if s.variant == "synthetic"), None)
    return {
        "task": name,
        "split": task.split,
        "modality": task.modality,
        "metric": metric.name,
        "better": "higher" if metric.higher_is_better else "lower",
        "starter": scores and scores.starter.score,
        "reference": scores and scores.reference.score,
        "requires": task.requires,
        "prepared": tuple(data.prepared_variants(task)),
        "other_splits": {name: other.note for name, other in task.other_splits.items()},
        "env_id": task.env_id,
        "title": task.title,
    }


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return " ".join(value) if isinstance(value, tuple) else str(value or "")
