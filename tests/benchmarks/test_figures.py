"""Every figure is what its name says, computed by hand beside it."""

import math
from statistics import stdev

import pytest

from benchmarks.figures import Trajectory, paired_test, summarise


def trajectory(task="a", number=0, best=0.6, outcomes=("scored",), **more):
    values = {
        "task": task,
        "number": number,
        "higher_is_better": True,
        "initial": 0.5,
        "reference": 0.7,
        "scores": tuple(0.6 if o == "scored" else None for o in outcomes),
        "best": best,
        "outcomes": outcomes,
        "runs": sum(o in ("scored", "failed") for o in outcomes),
        "seconds": 10.0,
        "tokens": 7,
        "cost": 0.01,
    }
    return Trajectory(**(values | more))


def test_gains_are_relative_to_starter_and_reference():
    row = trajectory(best=0.6)
    assert row.relative_gain == pytest.approx(0.2)
    assert row.normalised_gain == pytest.approx(0.5)
    lower = trajectory(best=0.4, initial=0.5, reference=0.3, higher_is_better=False)
    assert lower.relative_gain == pytest.approx(0.2)
    assert lower.normalised_gain == pytest.approx(0.5)


def test_the_best_so_far_starts_at_the_starter():
    row = trajectory(scores=(0.4, None, 0.6, 0.55))
    assert row.best_so_far == (0.5, 0.5, 0.6, 0.6)


def test_a_task_is_the_mean_and_the_best_of_its_trajectories():
    rows = [trajectory(number=0, best=0.5), trajectory(number=1, best=0.7)]
    figures = summarise(rows, {}, {"all": ["a"]}).tasks["a"]
    assert figures.average == pytest.approx(0.6)
    assert figures.best == 0.7
    assert figures.relative_gain.mean == pytest.approx(0.2)
    assert figures.relative_gain.low < 0.2 < figures.relative_gain.high
    assert (figures.tokens, figures.cost) == (14, 0.02)


def test_a_split_counts_every_task_once_however_many_trajectories_it_has():
    rows = [trajectory("a", n, best=0.5) for n in range(3)] + [trajectory("b", 0, best=0.7)]
    figures = summarise(rows, {}, {"both": ["a", "b"]}).splits["both"]
    assert figures.relative_gain.mean == pytest.approx((0 + 0.4) / 2)
    assert figures.average is None


def test_shares_of_a_split_count_every_task_once_too():
    long = trajectory("a", outcomes=("invalid",) * 9 + ("scored",))
    short = trajectory("b", outcomes=("scored",))
    figures = summarise([long, short], {}, {"both": ["a", "b"]}).splits["both"]
    assert figures.valid_share == pytest.approx((0.1 + 1.0) / 2)
    assert figures.success_share == 1.0


def test_shares_are_of_steps_and_of_runs():
    row = trajectory(outcomes=("invalid", "non_edit", "scored", "failed"))
    figures = summarise([row], {}, {}).tasks["a"]
    assert figures.valid_share == 0.75
    assert figures.success_share == 0.5
    idle = summarise([trajectory(outcomes=("non_edit",))], {}, {}).tasks["a"]
    assert math.isnan(idle.success_share)


def test_failed_trajectories_are_counted_and_in_no_score():
    figures = summarise([trajectory()], {"a/01": "the machine"}, {"all": ["a"]})
    assert figures.tasks["a"].failed == figures.splits["all"].failed == 1
    assert figures.tasks["a"].trajectories == 1


def test_a_clear_difference_is_significant_and_none_is_not():
    ours = [trajectory(number=n, best=0.6 + n / 1000) for n in range(12)]
    theirs = [trajectory(number=n, best=0.5 + n / 900) for n in range(12)]
    better = paired_test(ours, theirs)
    assert better.difference.low > 0
    assert better.p_value < 0.01
    same = paired_test(ours, ours)
    assert same.difference.mean == 0
    assert same.p_value == 1.0
    with pytest.raises(ValueError, match="no trajectory in common"):
        paired_test(ours, [trajectory("other")])


def test_intervals_of_few_trajectories_are_as_wide_as_they_must_be():
    gains = [0.1, 0.5, 0.2, 0.4]
    rows = [trajectory(number=n, best=0.5 + gain / 2) for n, gain in enumerate(gains)]
    interval = summarise(rows, {}, {}).tasks["a"].relative_gain
    # the standard error of the mean, unbiased, as the bootstrap of n - 1 draws has it
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * stdev(gains) / 2, rel=0.1)


def test_one_trajectory_has_no_interval():
    rows = [trajectory("a", 0), trajectory("b", 0), trajectory("b", 1, best=0.7)]
    summary = summarise(rows, {}, {"both": ["a", "b"]})
    assert math.isnan(summary.tasks["a"].relative_gain.low)
    assert math.isnan(summary.splits["both"].relative_gain.high)
    assert summary.tasks["b"].relative_gain.low < summary.tasks["b"].relative_gain.high


def test_a_comparison_counts_every_task_once():
    ours = [trajectory("a", n, best=0.6) for n in range(8)] + [trajectory("b", 0, best=0.5)]
    theirs = [trajectory("a", n, best=0.5) for n in range(8)] + [trajectory("b", 0, best=0.6)]
    tested = paired_test(ours, theirs)
    assert tested.difference.mean == pytest.approx(0)
    assert tested.pairs == 9


def test_places_on_a_board_are_counted_and_averaged():
    rows = [
        trajectory(number=0, medal="gold", percentile=99.0),
        trajectory(number=1, medal="gold", percentile=98.0),
        trajectory(number=2, medal=None, percentile=10.0),
    ]
    figures = summarise(rows, {}, {}).tasks["a"]
    assert figures.medals == {"gold": 2}
    assert figures.percentile == pytest.approx(69.0)
    none = summarise([trajectory()], {}, {}).tasks["a"]
    assert none.medals is None
    assert none.percentile is None


def test_kinds_of_failures_are_counted():
    rows = [
        trajectory(number=0, failures=("error", "invalid action", "error")),
        trajectory(number=1, failures=("timeout",)),
    ]
    kinds = summarise(rows, {}, {}).tasks["a"].failure_kinds
    assert kinds == {"error": 2, "invalid action": 1, "timeout": 1}
    assert next(iter(kinds)) == "error"


def test_a_further_metric_needs_every_trajectory():
    rows = [trajectory(number=0, also={"accuracy": 0.8}), trajectory(number=1)]
    assert summarise(rows, {}, {}).tasks["a"].also == {}
    rows[1] = trajectory(number=1, also={"accuracy": 0.6})
    assert summarise(rows, {}, {}).tasks["a"].also == {"accuracy": (pytest.approx(0.7), 0.8)}
