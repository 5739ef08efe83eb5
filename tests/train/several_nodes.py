"""Run steps on a Ray cluster of several local nodes, kill one of them on the way, say what came.

Run as a script, because the other tests have a cluster of their own in their process.
"""

from __future__ import annotations

import collections
import json
import sys
import time

import ray
from ray.cluster_utils import Cluster

from mlagent_train.envs.pool import start_pool
from mlagent_train.envs.settings import SLOT, PoolSettings
from mlagent_train.envs.stepping import StepRequest

STEPS, SLOTS_A_NODE, NODES = 36, 2, 2


def reply(number: int) -> str:
    edits = [{"search": "LR = 0.1", "replace": f"LR = {number}"}]
    text = json.dumps({"script_name": "train.py", "edits": edits})
    return f"Thought: try.\nAction: Edit Script\nAction Input: {text}"


def nodes_of(pool) -> dict[str, int]:
    return dict(collections.Counter(w.node for w in ray.get(pool.workers.remote())))


def wait_until(true, what: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain until {what}")
        time.sleep(0.1)


def main() -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "resources": {SLOT: SLOTS_A_NODE}}
    )
    added = [cluster.add_node(num_cpus=2, resources={SLOT: SLOTS_A_NODE}) for _ in range(NODES - 1)]
    ray.init(address=cluster.address, log_to_driver=False)
    pool = start_pool(
        PoolSettings(
            slots=SLOTS_A_NODE * NODES,
            cpus_per_slot=0.5,
            env_kwargs={"seconds": 0.5},
            start_timeout_s=20,
        )
    )
    before = nodes_of(pool)
    waiting = [
        pool.step.remote(StepRequest("toy_env:Toy/alpha-v0", reply(n)), {}) for n in range(STEPS)
    ]
    done, _ = ray.wait(waiting, num_returns=STEPS // 4)
    at_the_kill = len(done)
    cluster.remove_node(added[0], allow_graceful=False)
    outcomes = ray.get(waiting)
    after = nodes_of(pool)
    cluster.add_node(num_cpus=2, resources={SLOT: SLOTS_A_NODE})
    wait_until(lambda: len(ray.get(pool.workers.remote())) == SLOTS_A_NODE * NODES, "it is full")
    print(
        json.dumps(
            {
                "before": sorted(before.values()),
                "after": sorted(after.values()),
                "again": sorted(nodes_of(pool).values()),
                "at_the_kill": at_the_kill,
                "rewards": [o.result and o.result.reward for o in outcomes],
                "attempts": [o.attempts for o in outcomes],
                "counts": ray.get(pool.counts.remote()),
            }
        )
    )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
