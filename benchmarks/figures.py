"""Every figure of a benchmark, computed from its recorded steps alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

__all__ = [
    "Interval",
    "PairedTest",
    "Summary",
    "TaskFigures",
    "Trajectory",
    "paired_test",
    "summarise",
]

_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap confidence interval (percentile, over trajectories)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Trajectory:
    """What one trajectory came to."""

    task: str
    number: int
    higher_is_better: bool
    initial: float
    reference: float
    scores: tuple[float | None, ...]
    """Score of each step's own run; None where there is none."""
    best: float
    """Best score of the trajectory, the starter's included."""
    outcomes: tuple[str, ...]
    failures: tuple[str, ...]
    """Why runs failed, one for each that did."""
    seconds: float
    tokens: int
    cost: float

    @property
    def sign(self) -> float:
        """1 where higher scores are better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def relative_gain(self) -> float:
        """Gain of the best score over the starter's, as a share of the starter's (the paper's)."""
        return self.sign * (self.best - self.initial) / max(abs(self.initial), 1e-12)

    @property
    def normalised_gain(self) -> float:
        """Gain of the best score over the starter's, as a share of the reference's gain."""
        return (
            self.sign * (self.best - self.initial) / max(abs(self.reference - self.initial), 1e-12)
        )

    def share(self, *outcomes: str) -> float:
        """Return the share of steps with one of these outcomes."""
        return fmean(outcome in outcomes for outcome in self.outcomes)

    @property
    def best_so_far(self) -> tuple[float, ...]:
        """Best score after each step."""
        pick = max if self.higher_is_better else min
        best, curve = self.initial, []
        for score in self.scores:
            best = best if score is None else pick(best, score)
            curve.append(best)
        return tuple(curve)


@dataclass(frozen=True)
class TaskFigures:
    """What a policy came to on one task, or on several together."""

    trajectories: int
    failed: int
    """Trajectories the machine or the endpoint failed; they are in no other figure."""
    average: float | None
    """Mean over trajectories of the best score; None over several tasks."""
    best: float | None
    """Best score of all trajectories; None over several tasks."""
    initial: float | None
    reference: float | None
    relative_gain: Interval
    normalised_gain: Interval
    valid_share: float
    """Share of steps that were valid actions."""
    success_share: float
    """Share of runs of scripts that were graded; NaN without any run."""
    seconds: float
    """Mean wall-clock seconds of a trajectory."""
    tokens: int
    cost: float


@dataclass(frozen=True)
class Summary:
    """All figures of a benchmark."""

    tasks: Mapping[str, TaskFigures]
    splits: Mapping[str, TaskFigures]
    """By held-in, held-out and all; gains are means over tasks."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a trajectory failed, by its name."""


@dataclass(frozen=True)
class PairedTest:
    """Whether one policy gains more than another on the same trajectories."""

    difference: Interval
    """Of the relative gain, first minus second."""
    p_value: float
    """Two-sided, of a paired permutation test."""
    pairs: int


def summarise(
    trajectories: Sequence[Trajectory],
    failures: Mapping[str, str],
    splits: Mapping[str, Iterable[str]],
) -> Summary:
    """Return the figures of finished trajectories.

    Parameters
    ----------
    trajectories
        Those that ran to their end.
    failures
        Reason by ``<task>/<number>`` of those that the machine failed.
    splits
        Task ids by the name of a split.
    """
    by_task: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        by_task.setdefault(trajectory.task, []).append(trajectory)
    failed = [name.partition("/")[0] for name in failures]
    tasks = {
        task: _figures(rows, failed.count(task), one_task=True) for task, rows in by_task.items()
    }
    return Summary(
        tasks=tasks,
        splits={
            split: _figures(rows, sum(failed.count(task) for task in names), one_task=False)
            for split, names in ((split, set(names)) for split, names in splits.items())
            if (rows := [row for row in trajectories if row.task in names])
        },
        failures=dict(failures),
    )


def paired_test(ours: Sequence[Trajectory], theirs: Sequence[Trajectory]) -> PairedTest:
    """Compare two policies over the trajectories that both ran, by task and number.

    Raises
    ------
    ValueError
        They have no trajectory in common.
    """
    from scipy.stats import permutation_test

    gains = {(row.task, row.number): row.relative_gain for row in theirs}
    pairs = [
        (row.relative_gain, gains[row.task, row.number])
        for row in ours
        if (row.task, row.number) in gains
    ]
    if not pairs:
        raise ValueError("The two results have no trajectory in common.")
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    difference = first - second
    tested = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return PairedTest(_interval(difference), float(tested.pvalue), len(pairs))


def _figures(rows: Sequence[Trajectory], failed: int, *, one_task: bool) -> TaskFigures:
    pick = max if rows[0].higher_is_better else min
    runs = [o for row in rows for o in row.outcomes if o in ("scored", "failed", "corner_case")]
    return TaskFigures(
        trajectories=len(rows),
        failed=failed,
        average=fmean(row.best for row in rows) if one_task else None,
        best=pick(row.best for row in rows) if one_task else None,
        initial=rows[0].initial if one_task else None,
        reference=rows[0].reference if one_task else None,
        relative_gain=_gain([(row.task, row.relative_gain) for row in rows]),
        normalised_gain=_gain([(row.task, row.normalised_gain) for row in rows]),
        valid_share=fmean(1 - row.share("invalid") for row in rows),
        success_share=fmean(o == "scored" for o in runs) if runs else float("nan"),
        seconds=fmean(row.seconds for row in rows),
        tokens=sum(row.tokens for row in rows),
        cost=sum(row.cost for row in rows),
    )


def _gain(gains: Sequence[tuple[str, float]]) -> Interval:
    """Return the mean over tasks of their mean gain; resampled within tasks."""
    by_task: dict[str, list[float]] = {}
    for task, gain in gains:
        by_task.setdefault(task, []).append(gain)
    rng = np.random.default_rng(0)
    resampled = np.mean(
        [
            rng.choice(np.array(values), (_RESAMPLES, len(values))).mean(axis=1)
            for values in by_task.values()
        ],
        axis=0,
    )
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(fmean(fmean(values) for values in by_task.values()), float(low), float(high))


def _interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> Interval:
    from scipy.stats import bootstrap

    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate resample is one of many
        found = bootstrap(
            (values,),
            np.mean,
            n_resamples=_RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))
