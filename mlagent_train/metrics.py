"""What each PPO update came to, out of OpenRLHF's event files and the pool's record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from mlagent_train.files import read_jsonl
from mlagent_train.scalars import read_scalars

__all__ = ["read_updates", "updates_table"]

Update = dict[str, Any]


def read_updates(events: Path, record: Path) -> list[Update]:
    """Return one row for each update that was made, oldest first.

    Parameters
    ----------
    events
        Folder of OpenRLHF's event files.
    record
        The pool's JSONL file.

    Returns
    -------
    list of dict
        ``update``; every scalar OpenRLHF logged; under ``steps`` the number of samples,
        the steps lost, and means of reward, valid and improved over the others; and the
        same for each task under ``tasks``.
    """
    by_update: dict[int, list[dict[str, Any]]] = {}
    for row in _last_attempts(record):
        by_update.setdefault(row["update"], []).append(row)
    updates = []
    for step, scalars in sorted(read_scalars(events).items()):
        values = {name.removeprefix("train/"): value for name, value in scalars.items()}
        rows = by_update.get(step, [])
        tasks = {row["task"] for row in rows}
        updates.append(
            {
                "update": step,
                **values,
                "steps": _means(rows),
                "tasks": {
                    task: _means([row for row in rows if row["task"] == task])
                    for task in sorted(tasks)
                },
            }
        )
    return updates


def _last_attempts(record: Path) -> list[dict[str, Any]]:
    """Return the record without what a killed process did for updates that were made again."""
    rows = [row for row in read_jsonl(record) if row["update"]] if record.exists() else []
    last = {row["update"]: row["process"] for row in rows}  # rows are in order of time
    return [row for row in rows if row["process"] == last[row["update"]]]


def _means(rows: list[dict[str, Any]]) -> dict[str, float]:
    kept = [row for row in rows if row["reward"] is not None]
    count = max(len(kept), 1)
    return {
        "samples": len(rows),
        "lost": len(rows) - len(kept),
        "reward": sum(row["reward"] for row in kept) / count,
        "valid": sum(bool(row["info"]["valid"]) for row in kept) / count,
        "improved": sum(row["info"]["gain"] > 0 for row in kept) / count,
    }


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
