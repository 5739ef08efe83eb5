"""Run the two loops of OpenRLHF's asynchronous PPO with nothing in them, and say what came.

Run as a script: OpenRLHF is imported as a job's process does it. The argument is a JSON list of
cases: evaluate every so many updates, size of the queue, updates made before. The last line it
prints is a JSON list with the evaluations of each case: the update that OpenRLHF evaluates, and
the one that the pool would write beside it.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from queue import Queue
from types import SimpleNamespace as Values
from typing import Any

from mlagent_train.config import load_config
from mlagent_train.envs.pool import EnvPool
from mlagent_train.envs.settings import AgentSettings, PoolSettings
from mlagent_train.plan import make_job
from mlagent_train.rlhf import process
from mlagent_train.rlhf.options import PPO_COMMAND
from mlagent_train.run import Run

UPDATES, SAMPLES = 12, 3


def evaluations(every: int, queue_size: int, done: int) -> list[tuple[int, int | None]]:
    from openrlhf.trainer import ppo_trainer_async

    ppo_trainer_async.ray = Values(get=lambda answer: answer)  # what is called is at hand
    pool = make_pool(queue_size, done)
    found: list[tuple[int, int | None]] = []
    queue: Queue[Any] = Queue(queue_size)
    slots: Queue[int] = Queue(queue_size)
    for _ in range(queue_size):
        slots.put(0)
    lock = threading.Lock()
    shared = {
        "vllm_lock": Values(
            acquire=Values(remote=lock.acquire), release=Values(remote=lock.release)
        ),
        "rollout_queue": queue,
        "rollout_slots": slots,
        "_partial_rollout": False,
        "args": Values(
            eval=Values(steps=every),
            train=Values(num_episodes=1),
            algo=Values(dynamic_filtering_enable=False),
        ),
    }
    batches = list(range(UPDATES - done))
    generator = actor(
        ppo_trainer_async.GenerateSamplesActor,
        **shared,
        prompts_dataloader=Loader(),
        eval_dataloader=True,
        generate_kwargs={},
        samples_generator=Values(generate_samples=lambda: generate(pool, batches)),
        _run_eval=lambda: {"update": pool._update({"purpose": "evaluate"})},
        _last_eval_step=-1,
        _eval_just_done=False,
    )
    trainer = actor(
        ppo_trainer_async.TrainingActor,
        **shared,
        wandb_logger=None,
        tensorboard_logger=None,
        train_step=lambda _samples, step: ({}, step + 1),
        save_logs_and_checkpoints=lambda *_: None,
        save_best_checkpoint=lambda metrics, step, _: found.append((step, metrics["update"])),
    )
    loops = [
        threading.Thread(target=generator.fit, args=(0, 0), daemon=True),
        threading.Thread(target=trainer.fit, args=(done,), daemon=True),
    ]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(60)
    return found


def make_pool(queue_size: int, done: int) -> EnvPool:
    """Return the pool of a job that makes the updates after those that are done."""
    settings = {
        "ppo.states_per_update": SAMPLES,
        "ppo.samples_per_state": 1,
        "openrlhf.ppo.train.async_queue_size": queue_size,
    }
    config = load_config("qwen2.5-7b-8gpu", [f"{key}={value}" for key, value in settings.items()])
    job = make_job(Run(config, Path()), PPO_COMMAND, [], roles=3, first_update=done + 1)
    assert job.pool is not None
    return EnvPool(PoolSettings(slots=1, agent=AgentSettings(**job.pool["agent"])))


def actor(remote: Any, **attributes: Any) -> Any:
    """Return an object of an actor's class that was never set up."""
    made = object.__new__(remote.__ray_metadata__.modified_class)
    made.__dict__.update(attributes)
    return made


def generate(pool: EnvPool, left: list[int]) -> tuple[list[int], None, int, bool]:
    left.pop()
    for _ in range(SAMPLES):
        pool._update({"purpose": "train"})
    return [0], None, 1, not left


class Loader:
    def __len__(self) -> int:
        return UPDATES

    def state_dict(self) -> dict[str, Any]:
        return {}


if __name__ == "__main__":
    process.prepare()
    found = [evaluations(*case) for case in json.loads(sys.argv[1])]
    print(json.dumps(found))
