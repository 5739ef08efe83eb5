"""What each PPO update came to, out of OpenRLHF's event files and the pool's record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from mlagent_train.files import read_jsonl
from mlagent_train.scalars import read_scalars
from mlagent_train.step_figures import grouped, read_steps, step_figures
from mlagent_train.trajectories import episode_stats

__all__ = ["read_evaluations", "read_updates", "updates_table"]

Update = dict[str, Any]


def read_updates(
    events: Path, record: Path, evaluations: Mapping[int, Any] | None = None
) -> list[Update]:
    """Return one row for each update that was made, oldest first.

    Parameters
    ----------
    events
        Folder of OpenRLHF's event files.
    record
        The pool's JSONL file.
    evaluations
        What `read_evaluations` returns.

    Returns
    -------
    list of dict
        ``update``; every scalar OpenRLHF logged; under ``steps`` the `step_figures` of the
        update's environment steps, under ``tasks`` and ``actions`` those of each task and
        each kind of action; ``evaluation`` where there was one.
    """
    steps = read_steps(record, "train")
    evaluations = evaluations or {}
    updates = []
    for number, scalars in sorted(read_scalars(events).items()):
        if not any(name.startswith("train/") for name in scalars):
            continue  # only its evaluation is there: the process was killed in between
        rows = steps.get(number, [])
        by_task = grouped(rows, lambda row: str(row["task"]))
        by_action = grouped(
            (row for row in rows if row["info"]), lambda row: row["info"].get("action") or "-"
        )
        updates.append(
            {
                "update": number,
                **{name.removeprefix("train/"): value for name, value in scalars.items()},
                "steps": step_figures(rows),
                "tasks": {name: step_figures(group) for name, group in by_task.items()},
                "actions": {name: step_figures(group) for name, group in by_action.items()},
                **({"evaluation": evaluations[number]} if number in evaluations else {}),
            }
        )
    return updates


def read_evaluations(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the evaluations made between updates, by the update they were made after.

    Parameters
    ----------
    folder
        ``ppo`` of a run folder.

    Returns
    -------
    dict
        Under ``splits`` and ``tasks`` the `EpisodeStats` by name. An evaluation that a kill
        cut short is left out; OpenRLHF does not repeat it: each episode has to be over.
    """
    limits = _step_limits(folder / "evaluation.jsonl")
    steps = read_steps(folder / "rollouts.jsonl", "evaluate") if limits else {}
    found = {update: _evaluation(rows, limits) for update, rows in sorted(steps.items())}
    return {update: result for update, result in found.items() if result is not None}


def _step_limits(rows: Path) -> dict[str, int]:
    """Return the most steps of each episode that is evaluated, by its row."""
    labels = [json.loads(row["label"]) for row in read_jsonl(rows)] if rows.exists() else []
    return {_episode(label["tags"]): label["evaluate"]["max_steps"] for label in labels}


def _episode(tags: Mapping[str, Any]) -> str:
    return f"{tags['row']:06d}"


def _evaluation(rows: Sequence[dict[str, Any]], limits: Mapping[str, int]) -> dict[str, Any] | None:
    by_episode = grouped(rows, _episode)
    if not all(
        name in by_episode and _ended(by_episode[name][-1], limit) for name, limit in limits.items()
    ):
        return None
    kept = [
        steps
        for group in by_episode.values()
        if (steps := [row for row in group if row["reward"] is not None])
    ]
    found: dict[str, dict[str, Any]] = {"splits": {}, "tasks": {}}
    for kind, key in (("splits", "split"), ("tasks", "task")):
        for name in sorted({steps[0][key] for steps in kept}):
            those = [steps for steps in kept if steps[0][key] == name]
            found[kind][name] = asdict(episode_stats(those))
    return found


def _ended(last: Mapping[str, Any], limit: int) -> bool:
    """Return whether an episode is over after a step; it also is when the step was lost."""
    over = last["reward"] is None or last["terminated"] or last["truncated"]
    return bool(over or last["turn"] + 1 >= limit)


_COLUMNS: tuple[tuple[str, str, Callable[[Update], Any]], ...] = (
    ("reward", "{:.3f}", lambda update: update["steps"]["reward"]),
    ("valid", "{:.0%}", lambda update: update["steps"]["valid"]),
    ("improving", "{:.0%}", lambda update: update["steps"]["improved"]),
    ("lost", "{:.0f}", lambda update: update["steps"]["lost"]),
    ("KL", "{:.4f}", lambda update: update.get("kl")),
    ("entropy", "{:.3f}", lambda update: update.get("entropy_loss")),
    ("tokens", "{:.0f}", lambda update: update.get("rollout/response_length_mean")),
    ("seconds", "{:.1f}", lambda update: update.get("timing/step_total")),
)
"""Title, layout, value; OpenRLHF logs the actor's values only once the actor trains."""


def updates_table(updates: list[Update]) -> Table:
    """Return the updates as a table."""
    table = Table(title="PPO updates", title_justify="left")
    table.add_column("update", justify="right", no_wrap=True)
    for title, _, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for update in updates:
        values = [(layout, value(update)) for _, layout, value in _COLUMNS]
        cells = ["-" if value is None else layout.format(value) for layout, value in values]
        table.add_row(str(update["update"]), *cells)
    return table
