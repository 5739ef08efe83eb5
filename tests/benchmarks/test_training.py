"""benchmarks.training: a run with wrong counts does not pass, and the toy fails as it says."""

import importlib.util
from collections import Counter

import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "ray", "openrlhf")),
    reason="needs the trainer's packages",
)


@pytest.fixture
def run():
    """A run of two updates of 50 samples, counted right."""
    from benchmarks.instant_env import fault_of, reward_of
    from benchmarks.ppo_runs import PpoRun
    from benchmarks.training import FAULT_EVERY, KINDS, NEUTRAL

    steps = []
    for number in range(100):
        reply = f"reply {number}"
        fault = KINDS.get(fault_of(number, FAULT_EVERY), "")
        reward = None if fault else reward_of(reply)
        update = 1 + number // 50
        row = {"row": number, "reply": reply, "fault": fault, "reward": reward}
        steps.append({**row, "update": update})
    updates = []
    for update in (1, 2):
        rows = [row for row in steps if row["update"] == update]
        rewards = [NEUTRAL if row["fault"] else row["reward"] for row in rows]
        lost = sum(bool(row["fault"]) for row in rows)
        updates.append({"rollout/reward_mean": sum(rewards) / 50, "fault": lost / 50})
    return PpoRun(updates, steps, "")


def test_right_counts_pass(run):
    from benchmarks.training import wrong_counts

    assert wrong_counts(run, 2, 50) == []
    assert set(Counter(row["fault"] for row in run.steps)) == {
        "",
        "raised",
        "died",
        "timeout",
        "garbage",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.steps.pop(),
        lambda run: run.updates.pop(),
        lambda run: run.steps[0].update(fault="died" if not run.steps[0]["fault"] else ""),
        lambda run: next(row for row in run.steps if not row["fault"]).update(reward=0.5),
        lambda run: run.updates[1].update(fault=0.0),
        lambda run: run.updates[0].update({"rollout/reward_mean": 0.1}),
    ],
)
def test_a_wrong_count_does_not(run, change):
    from benchmarks.training import wrong_counts

    change(run)
    assert wrong_counts(run, 2, 50)


def test_bars_that_are_not_held_fail():
    from benchmarks.training import held

    good = {
        "overhead": {"tiny": {"overhead": 0.04}, "larger": {"overhead": 0.01}},
        "faults": {"wrong": [], "stops_above_share": True},
    }
    assert held(good)
    assert not held({**good, "overhead": {"tiny": {"overhead": 0.06}}})
    assert not held({**good, "faults": {"wrong": ["x"], "stops_above_share": True}})
    assert not held({**good, "faults": {"wrong": [], "stops_above_share": False}})
