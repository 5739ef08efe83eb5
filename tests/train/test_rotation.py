"""mlagent_train.rlhf.rotation, on OpenRLHF's own code, in a process of its own."""

import os
import subprocess
import sys

SAVE = """
import os, sys
from pathlib import Path
from mlagent_train.rlhf import process
process.prepare()
from openrlhf.utils.deepspeed import deepspeed as saving

class Engine(saving.deepspeed.DeepSpeedEngine):
    __init__ = __del__ = lambda self: None
    def save_checkpoint(self, folder, tag, **_):
        Path(folder, tag).mkdir()

saving.torch_dist_barrier_and_cuda_sync = lambda: None
strategy = object.__new__(saving.DeepspeedStrategy)
folder = Path(sys.argv[1])
for age, (update, metric) in enumerate([(5, 0.9), (30, 0.1), (35, 0.5)]):
    tag = f"global_step{update}"
    strategy.save_ckpt(Engine(), str(folder), tag, max_num=2, metric_value=metric)
    os.utime(folder / tag, (age, age))
print(*sorted(path.name for path in folder.iterdir()))
"""


def test_the_newest_checkpoint_is_never_deleted_for_a_better_one(python_path, tmp_path):
    env = {"PYTHONPATH": python_path, "MLAGENT_ROLLOUT_ENGINE": "transformers"}
    done = subprocess.run(
        [sys.executable, "-c", SAVE, str(tmp_path / "saved")],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "global_step30 global_step35"
