"""Every figure of a benchmark, computed from its recorded steps alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

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
    """A mean with its 95 % bootstrap confidence interval (percentile, over trajectories).

    Both ends are NaN where a task has one trajectory alone.
    """

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
    """Score of each step's own run; None where it has none."""
    best: float
    """Best score of the trajectory, the starter's included."""
    outcomes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    """Kind of failure of every step that was no valid action or whose run was not graded."""
    runs: int = 0
    """Runs of scripts."""
    reward: float = 0.0
    """Sum over the steps."""
    seconds: float = 0.0
    """In the environment and waiting for the policy's replies."""
    tokens: int = 0
    cost: float = 0.0
    """Dollars."""
    medal: str | None = None
    """On the Kaggle board, for the best score; real data only."""
    percentile: float | None = None
    also: Mapping[str, float] = field(default_factory=dict)
    """Further metrics of the best step's submission; empty if the starter is the best."""
    flag: str = ""
    """What is suspicious about a score, if anything is."""

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

    @property
    def graded(self) -> int:
        """Number of runs that were graded."""
        return sum(score is not None for score in self.scores)

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
    """Mean seconds of a trajectory, in the environment and waiting for replies."""
    tokens: int
    """Of all trajectories, prompts included."""
    cost: float
    """Dollars for all trajectories."""
    medals: Mapping[str, int] | None = None
    """Trajectories by medal; None: not on real data, or the task has no board."""
    percentile: float | None = None
    """Mean over trajectories of the share of the board that is no better."""
    also: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Average and best of further metrics, where every trajectory has them."""
    failure_kinds: Mapping[str, int] = field(default_factory=dict)
    """How often steps failed, by kind."""


@dataclass(frozen=True)
class Summary:
    """All figures of a benchmark."""

    tasks: Mapping[str, TaskFigures]
    splits: Mapping[str, TaskFigures]
    """By held-in, held-out and all; gains are means over tasks."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a trajectory failed, by its name."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """What is suspicious about a trajectory's scores, by its name."""


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
        flags={f"{row.task}/{row.number:02d}": row.flag for row in trajectories if row.flag},
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
        (row.task, row.relative_gain - gains[row.task, row.number])
        for row in ours
        if (row.task, row.number) in gains
    ]
    if not pairs:
        raise ValueError("The two results have no trajectory in common.")
    counts = Counter(task for task, _ in pairs)
    # each task counts the same, however many of its trajectories both have
    shares = np.array([change / counts[task] / len(counts) for task, change in pairs])
    tested = permutation_test(
        (shares,),
        np.sum,
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return PairedTest(_gain(pairs), float(tested.pvalue), len(pairs))


def _figures(rows: Sequence[Trajectory], failed: int, *, one_task: bool) -> TaskFigures:
    pick = max if rows[0].higher_is_better else min
    by_task: dict[str, list[Trajectory]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    successes = [share for share in map(_success_share, by_task.values()) if share is not None]
    standings = [row.percentile for row in rows if row.percentile is not None]
    kinds = Counter(kind for row in rows for kind in row.failures)
    return TaskFigures(
        trajectories=len(rows),
        failed=failed,
        average=fmean(row.best for row in rows) if one_task else None,
        best=pick(row.best for row in rows) if one_task else None,
        initial=rows[0].initial if one_task else None,
        reference=rows[0].reference if one_task else None,
        relative_gain=_gain([(row.task, row.relative_gain) for row in rows]),
        normalised_gain=_gain([(row.task, row.normalised_gain) for row in rows]),
        valid_share=fmean(map(_valid_share, by_task.values())),
        success_share=fmean(successes) if successes else float("nan"),
        seconds=fmean(fmean(row.seconds for row in group) for group in by_task.values()),
        tokens=sum(row.tokens for row in rows),
        cost=sum(row.cost for row in rows),
        medals=dict(Counter(row.medal for row in rows if row.medal)) if standings else None,
        percentile=fmean(standings) if standings else None,
        also=_also(rows) if one_task else {},
        failure_kinds=dict(kinds.most_common()),
    )


def _valid_share(rows: Sequence[Trajectory]) -> float:
    return fmean(outcome != "invalid" for row in rows for outcome in row.outcomes)


def _success_share(rows: Sequence[Trajectory]) -> float | None:
    runs = sum(row.runs for row in rows)
    return sum(row.graded for row in rows) / runs if runs else None


def _also(rows: Sequence[Trajectory]) -> dict[str, tuple[float, float]]:
    """Return average and best of the metrics that every trajectory has; higher is better."""
    shared = set.intersection(*(set(row.also) for row in rows))
    return {
        name: (fmean(row.also[name] for row in rows), max(row.also[name] for row in rows))
        for name in sorted(shared)
    }


def _gain(gains: Sequence[tuple[str, float]]) -> Interval:
    """Return the mean over tasks of their mean gain; resampled within tasks.

    Of n trajectories n - 1 are drawn, because n would make the interval of a few too narrow:
    by a factor of sqrt((n - 1) / n) (Rao and Wu 1988).
    """
    by_task: dict[str, list[float]] = {}
    for task, gain in gains:
        by_task.setdefault(task, []).append(gain)
    mean = fmean(fmean(values) for values in by_task.values())
    if min(map(len, by_task.values())) < 2:
        return Interval(mean, float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    resampled = np.mean(
        [
            rng.choice(np.array(values), (_RESAMPLES, len(values) - 1)).mean(axis=1)
            for values in by_task.values()
        ],
        axis=0,
    )
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(mean, float(low), float(high))
