"""The figures of all runs together, and what several seeds say."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.learning.plan import ARMS

__all__ = ["SPLITS", "Figures", "interval", "pairs", "per_arm", "shared"]

Figures = dict[str, Any]
SPLITS = ("held-in", "held-out")


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and Student's 95 % interval; from one value, the interval is unbounded."""
    from scipy import stats

    mean = fmean(values)
    if len(values) < 2:
        return mean, float("-inf"), float("inf")
    half = stats.t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def per_arm(results: Figures, key: str, names: Sequence[str] = tuple(ARMS)) -> dict[str, list[Any]]:
    """Return one of the figures of each seed that has it, by arm."""
    seeds = results["seeds"].values()
    return {
        name: [arms[name][key] for arms in seeds if key in arms.get(name, {})] for name in names
    }


def shared(results: Figures, *names: str) -> dict[str, tuple[Figures, ...]]:
    """Return the figures of several arms by seed, for the seeds that all of them have."""
    return {
        seed: tuple(arms[name] for name in names)
        for seed, arms in results["seeds"].items()
        if set(names) <= set(arms)
    }


def pairs(results: Figures) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return the gains (before, after) of each seed by split and arm."""
    return {
        split: {
            name: [
                (arm["before"][split]["relative_gain"], arm["after"][split]["relative_gain"])
                for (arm,) in runs
            ]
            for name in ARMS
            if (runs := shared(results, name).values())
        }
        for split in SPLITS
    }
