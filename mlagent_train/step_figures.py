"""What a set of environment steps came to, from the pool's record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mlagent_train.files import read_jsonl

__all__ = ["grouped", "read_steps", "step_figures"]

Row = dict[str, Any]
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def read_steps(record: Path, purpose: str) -> dict[int, list[Row]]:
    """Return the recorded steps of each update.

    Parameters
    ----------
    record
        The pool's JSONL file; need not exist.
    purpose
        ``train`` or ``evaluate``.

    Returns
    -------
    dict
        Without what a killed process did for an update that was then made again.
    """
    rows = [
        row
        for row in (read_jsonl(record) if record.exists() else ())
        if row["purpose"] == purpose and row["update"] is not None
    ]
    last = {row["update"]: row["process"] for row in rows}  # rows are in order of time
    updates: dict[int, list[Row]] = {}
    for row in rows:
        if row["process"] == last[row["update"]]:
            updates.setdefault(row["update"], []).append(row)
    return updates


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Return rows by a key, in the order of its values."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return dict(sorted(groups.items()))


def step_figures(rows: list[Row]) -> dict[str, Any]:
    """Return counts, means and shares of some steps.

    Returns
    -------
    dict
        ``samples`` and ``lost`` (to machine faults) count steps; ``env_s``, ``queue_s`` and
        ``cached`` are means over all of them; the rest is about those not lost: ``reward``
        and its ``reward_std`` and ``reward_quantiles``, shares ``valid`` and ``improved``,
        ``outcomes`` and ``run_statuses`` as shares by name, and ``gain``, the mean over the
        edits that were scored, clipped to [-1, 1]; None when there was none.
    """
    kept = [row for row in rows if row["reward"] is not None]
    rewards = np.array([row["reward"] for row in kept] or [0.0])
    infos = [row["info"] for row in kept]
    gains = [min(1.0, max(-1.0, info["gain"])) for info in infos if info.get("outcome") == "scored"]
    return {
        "samples": len(rows),
        "lost": len(rows) - len(kept),
        "reward": float(rewards.mean()),
        "reward_std": float(rewards.std()),
        "reward_quantiles": [round(float(q), 6) for q in np.quantile(rewards, QUANTILES)],
        "valid": _mean(bool(info["valid"]) for info in infos),
        "improved": _mean(info["gain"] > 0 for info in infos),
        "gain": _mean(gains) if gains else None,
        "outcomes": _shares(info.get("outcome") for info in infos),
        "run_statuses": _shares(info.get("run_status") or "no_run" for info in infos),
        "env_s": _mean(row.get("env_s", 0.0) for row in rows),
        "queue_s": _mean(row.get("queue_s", 0.0) for row in rows),
        "cached": _mean(bool(row.get("cached")) for row in rows),
    }


def _mean(values: Iterable[float]) -> float:
    found = [float(value) for value in values]
    return sum(found) / max(len(found), 1)


def _shares(names: Iterable[Any]) -> dict[str, float]:
    counts = Counter(str(name) for name in names)
    total = max(counts.total(), 1)
    return {name: count / total for name, count in sorted(counts.items())}
