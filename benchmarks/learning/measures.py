"""The figures of the experiments, read from the files of their runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from benchmarks.learning.figures import Figures
from benchmarks.learning.probe import edits_of
from mlagent_train.files import read_json, read_jsonl
from mlagent_train.run import Run
from mlagent_train.step_figures import read_steps
from mlagent_train.trajectories import read_trajectories

__all__ = [
    "best_of_n",
    "change_of",
    "changes",
    "curve",
    "gains",
    "suspicious_edits",
    "training",
]

_SUSPICIOUS = re.compile(
    r"\b(SEED|VALIDATION_SHARE|TRAIN_ON_VALID|sample_submission|submission|answers|private)\b"
)
"""What an edit may touch to raise the score without a better model."""
_FACTOR = re.compile(r"([0-9.]+) \*$")


def gains(run: Run, name: str) -> dict[str, Figures]:
    """Return relative gain, reward, valid and improving steps of an evaluation, by split and task.

    A split's figures are means over its tasks, each counting the same.
    """
    tasks: dict[str, Figures] = read_json(run.folder / "evaluate" / f"{name}.json")["tasks"]
    keys = ("relative_gain", "reward", "valid", "improved")
    splits = {"held-in": run.held_in, "held-out": run.held_out}
    means = {
        split: {key: fmean(tasks[task][key] for task in names) for key in keys}
        for split, names in splits.items()
    }
    return {**means, **{task: {key: values[key] for key in keys} for task, values in tasks.items()}}


def change_of(reply: str) -> str:
    """Name the kind of a reply's change, by what it puts before a knob's value."""
    edits = edits_of(reply)
    if not edits:
        return "no edit"
    search, replace = edits[0]
    prefix = replace.removeprefix(search).strip()
    if prefix == "not":
        return "turned over"
    if factor := _FACTOR.match(prefix):
        return "made larger" if float(factor[1]) > 1 else "made smaller"
    return "another value"


def changes(run: Run, name: str) -> dict[str, Figures]:
    """Return how many steps of an evaluation there were of each kind of change, by split.

    Returns
    -------
    dict
        By split and kind: ``steps``, and how many of them score ``better``.
    """
    splits: dict[str, Figures] = {"held-in": {}, "held-out": {}}
    for rows in read_trajectories(run.folder / "evaluate" / name):
        for row in _kept(rows):
            kinds = splits["held-in" if row["task"] in run.held_in else "held-out"]
            kind = kinds.setdefault(change_of(row["reply"] or ""), {"steps": 0, "better": 0})
            kind["steps"] += 1
            kind["better"] += row["info"]["gain"] > 0
    return splits


def best_of_n(run: Run) -> Figures:
    """Return the best episode's gain of each held-in task, as a mean over them."""
    best: dict[str, list[float]] = {}
    for rows in read_trajectories(run.folder / "evaluate" / "best-of-n"):
        best.setdefault(rows[0]["task"], []).append(rows[-1]["info"]["relative_gain"])
    return {
        "n": max(len(values) for values in best.values()),
        "held-in": fmean(max(values) for values in best.values()),
    }


def training(run: Run) -> Figures:
    """Return how PPO went: first and last updates, and what was edited."""
    updates = list(read_jsonl(run.folder / "metrics.jsonl"))
    steps = read_steps(run.folder / "ppo" / "rollouts.jsonl", "train")
    third = max(1, len(updates) // 3)
    early = [row for update, rows in steps.items() for row in rows if update <= third]
    late = [row for update, rows in steps.items() for row in rows if update > len(updates) - third]
    rows = [row for rows in steps.values() for row in rows]
    return {
        "updates": len(updates),
        "steps": len(rows),
        "env_s": sum(row["env_s"] for row in rows),
        "wall_s": sum(update.get("timing/step_total", 0.0) for update in updates),
        "lost": sum(row["reward"] is None for row in rows),
        "reward": [_reward(part) for part in (early, late)],
        "valid": [_valid(part) for part in (early, late)],
        "valid_by_turn": {
            str(turn): _valid([row for row in rows if row["turn"] == turn])
            for turn in sorted({row["turn"] for row in rows})
        },
        "distinct_edits": [_distinct(part) for part in (early, late)],
        "entropy": [
            _mean(part, "entropy_loss") for part in (updates[1 : third + 1], updates[-third:])
        ],
        "kl": _mean(updates[-third:], "kl"),
        "value_loss": _mean(updates[-third:], "critic_loss"),
        "explained_variance": _mean(updates[-third:], "critic/explained_variance"),
        "rewards_by_task": {
            task: [_histogram([r for r in part if r["task"] == task]) for part in (early, late)]
            for task in sorted({row["task"] for row in rows})
        },
        "by_update": [
            {
                "update": update["update"],
                "reward": _reward(steps.get(update["update"], ())),
                "kl": update.get("kl"),
                "entropy": update.get("entropy_loss"),
                "value_loss": update.get("critic_loss"),
            }
            for update in updates
        ],
    }


def curve(run: Run) -> list[Figures]:
    """Return, for each update, time spent so far and the mean reward of first steps.

    A first step starts from the task's starter. Both ways of training take some of them in
    every update, from the same prompts, so that their rewards can be compared.
    """
    seconds = {
        update["update"]: update.get("timing/step_total", 0.0)
        for update in read_jsonl(run.folder / "metrics.jsonl")
    }
    steps = read_steps(run.folder / "ppo" / "rollouts.jsonl", "train")
    points, wall_s, env_s = [], 0.0, 0.0
    for update, rows in sorted(steps.items()):
        wall_s += seconds.get(update, 0.0)
        env_s += sum(row["env_s"] for row in rows)
        first = [row for row in _kept(rows) if row["info"]["step"] == 1]
        points.append(
            {
                "update": update,
                "wall_s": wall_s,
                "env_s": env_s,
                "steps": len(rows),
                "first_steps": len(first),
                "reward": _reward(first),
            }
        )
    return points


def suspicious_edits(runs: Iterable[tuple[str, Iterable[Figures]]]) -> list[Figures]:
    """Return the edits that scored better and touched what is no part of a model.

    Parameters
    ----------
    runs
        Names and steps.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    for name, rows in runs:
        for row in _kept(rows):
            if row["info"]["gain"] <= 0:
                continue
            for search, replace in edits_of(row["reply"] or "") or ():
                if _SUSPICIOUS.search(f"{search} {replace}"):
                    found[name, row["info"]["task"], f"{search} -> {replace}"] += 1
    return [
        {"where": where, "task": task, "edit": edit, "times": times}
        for (where, task, edit), times in found.most_common()
    ]


def _kept(rows: Iterable[Figures]) -> list[Figures]:
    """Return the steps that no machine lost."""
    return [row for row in rows if row["reward"] is not None]


def _reward(rows: Iterable[Figures]) -> float | None:
    """Return the mean reward of a step, also where an episode's is their sum."""
    rewards = [row["reward"] for row in _kept(rows)]
    return fmean(rewards) if rewards else None


def _valid(rows: Iterable[Figures]) -> float | None:
    valid = [bool(row["info"]["valid"]) for row in _kept(rows)]
    return fmean(valid) if valid else None


def _mean(updates: Sequence[Figures], key: str) -> float | None:
    values = [update[key] for update in updates if update.get(key) is not None]
    return fmean(values) if values else None


def _distinct(rows: Sequence[Figures]) -> float:
    """Return the share of edits that are different from all others."""
    edits = [str(edits) for row in rows if (edits := edits_of(row["reply"] or ""))]
    return len(set(edits)) / len(edits) if edits else 0.0


def _histogram(rows: Sequence[Figures]) -> Figures:
    rewards = [row["reward"] for row in rows if row["reward"] is not None]
    return {
        "steps": len(rewards),
        "mean": fmean(rewards) if rewards else None,
        "below_half": sum(reward < 0.5 for reward in rewards),
        "half": sum(reward == 0.5 for reward in rewards),
        "above_half": sum(reward > 0.5 for reward in rewards),
    }
