"""A Ray cluster of two local nodes with a slot each: prints its address, drops one when told to.

Run as a script, because a process has one cluster at a time and other tests have their own.
"""

import sys

from ray.cluster_utils import Cluster

from mlagent_train.envs.settings import SLOT

NODE = {"num_cpus": 2, "resources": {SLOT: 1}}

cluster = Cluster(initialize_head=True, head_node_args=NODE)
second = cluster.add_node(**NODE)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "drop":
        cluster.remove_node(second, allow_graceful=False)
        print("dropped", flush=True)
cluster.shutdown()
