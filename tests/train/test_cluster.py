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


def test_two_jobs_share_a_cluster(cluster, end_pool, python_path):
    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import POOL_NAME, PoolSettings

    end_pool()
    mine = start_pool(PoolSettings(slots=1, cpus_per_slot=0.1))
    other = (
        "import sys, ray; from mlagent_train.envs.pool import start_pool;"
        "from mlagent_train.envs.settings import POOL_NAME, PoolSettings;"
        "from mlagent_train.jobs.job import RaySettings;"
        "from mlagent_train.jobs.launch import start_ray;"
        "start_ray(RaySettings(address=sys.argv[1]), {'PYTHONPATH': sys.argv[2]});"
        "pool = start_pool(PoolSettings(slots=2, cpus_per_slot=0.1));"
        "print('workers', len(ray.get(ray.get_actor(POOL_NAME).workers.remote())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", other, cluster.get_runtime_context().gcs_address, python_path],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "workers 2" in done.stdout
    assert len(cluster.get(cluster.get_actor(POOL_NAME).workers.remote())) == 1
    assert cluster.get_actor(POOL_NAME) == mine
    end_pool()


def test_more_slots_than_the_cluster_offers_are_refused_at_once(cluster, end_pool):
    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import PoolSettings
    from mlagent_train.errors import MachineError

    end_pool()
    with pytest.raises(MachineError, match=r"offers 8 env_slot, workers\.slots asks for 9"):
        start_pool(PoolSettings(slots=9))
