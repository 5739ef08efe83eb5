"""mlagent_train.envs on several nodes, one of which is killed in the middle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("several_nodes.py")


def test_a_node_killed_in_the_middle_loses_no_step(toy):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    steps = len(seen["rewards"])

    assert seen["before"] == [2, 2]
    assert 0 < seen["at_the_kill"] < steps
    assert seen["rewards"] == [0.5] * steps
    assert 1 < max(seen["attempts"]) <= 3
    assert seen["after"] == [2]
    assert seen["again"] == [2, 2]

    counts, attempts = seen["counts"], seen["attempts"]
    assert counts["steps"] == steps
    assert counts["retried"] == sum(attempt > 1 for attempt in attempts)
    assert counts["attempts_died"] == sum(attempts) - steps
    assert counts["workers_replaced"] == 2
    assert "lost" not in counts


def test_more_slots_than_the_cluster_offers_are_refused_at_once(cluster, end_pool):
    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import PoolSettings
    from mlagent_train.errors import MachineError

    end_pool()
    with pytest.raises(MachineError, match=r"offers 8 env_slot, workers\.slots asks for 9"):
        start_pool(PoolSettings(slots=9))
