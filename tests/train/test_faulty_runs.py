"""Whole PPO runs in which a fifth of the environment steps fail in each way a machine can."""

from benchmarks.ppo_runs import make_tiny_model
from benchmarks.training import KINDS, faults


def test_training_lives_counts_right_and_stops_above_the_set_share(tmp_path):
    seen = faults(tmp_path / "runs", make_tiny_model(tmp_path), pairs=0)
    assert seen["wrong"] == []
    assert set(seen["lost"]) == set(KINDS.values())  # else this would test less than it says
    assert seen["stops_above_share"]
