"""What each job of a run asks of the machine: Ray's resources, worker processes, GPUs."""

from __future__ import annotations

import math
from dataclasses import asdict

from mlagent_gym import RewardConfig
from mlagent_train.envs.settings import SLOT, AgentSettings, PoolSettings
from mlagent_train.hardware import cpu_count, gpu_count
from mlagent_train.jobs.job import Job, RaySettings
from mlagent_train.memory import trained_state_gb
from mlagent_train.rlhf.flags import updates_ahead
from mlagent_train.rlhf.limits import on_gpu
from mlagent_train.run import Run

__all__ = ["gpus_needed", "make_job", "resource_plan"]


def make_job(
    run: Run,
    command: str,
    argv: list[str],
    *,
    roles: int = 0,
    record: str | None = None,
    first_update: int = 1,
    with_pool: bool = True,
) -> Job:
    """Return a job of this run.

    Parameters
    ----------
    run
        Its configuration sizes the job.
    command, argv
        Module to run and its arguments.
    roles
        Models trained or queried beside the rollout engines (actor, critic, reference).
    record
        File of the pool's steps; None: they are not kept.
    first_update
        PPO update the job goes on with.
    with_pool
        Whether environments are needed at all.
    """
    config, gpu = run.config, on_gpu(run.config)
    hardware, workers = config.hardware, config.workers
    engine = hardware.engine if hardware.engine != "auto" else "vllm" if gpu else "transformers"
    tickets = (
        roles * hardware.nodes * hardware.gpus_per_node
        + hardware.engines * hardware.tensor_parallel
    )
    ray = RaySettings(
        address=hardware.ray_address,
        # every role and engine is an actor with a CPU of its own, and so is the controller
        cpus=max(cpu_count(), tickets + 1 + math.ceil(run.slots * workers.cpus_per_slot)),
        gpus=gpu_count() if gpu else tickets,
        gpus_needed=gpus_needed(run) if gpu and roles else 0,
        env_slots=run.slots,
    )
    ppo = config.ppo
    pool = PoolSettings(
        slots=run.slots,
        # never step_wise: the agent ends a sample after `max_turns`, and episodes of the
        # evaluations between updates go on in the same environments
        env_kwargs=run.env_kwargs(),
        cpus_per_slot=workers.cpus_per_slot,
        gpus_per_slot=workers.gpus_per_slot,
        memory_mb_per_slot=workers.memory_mb_per_slot,
        step_timeout_s=run.step_timeout_s,
        start_timeout_s=workers.start_timeout_s,
        retries=workers.retries,
        max_fault_share=workers.max_fault_share,
        fault_window=workers.fault_window,
        cache=workers.cache,
        record=record,
        agent=AgentSettings(
            max_turns=config.env.max_steps if config.env.mode == "episode" else 1,
            max_new_tokens=config.rollout.max_new_tokens,
            neutral_reward=RewardConfig(config.env.reward).neutral,
            samples_per_update=ppo.states_per_update * ppo.samples_per_state,
            first_update=first_update,
            updates_ahead=updates_ahead(config),
        ),
    )
    return Job(
        command=command,
        argv=tuple(argv),
        cuda_free=not gpu,
        engine=engine,
        ray=ray if with_pool else None,
        pool=asdict(pool) if with_pool else None,
    )


def gpus_needed(run: Run) -> int:
    """Return how many GPUs (or, without CUDA, processes) PPO and its environments occupy."""
    config = run.config
    hardware, ppo, workers = config.hardware, config.ppo, config.workers
    ranks = hardware.nodes * hardware.gpus_per_node
    engines = hardware.engines * hardware.tensor_parallel
    roles = 1 + (ppo.estimator == "gae") + (ppo.kl_coef > 0)
    engines_apart = not hardware.colocate or ppo.asynchronous
    trainer = ranks * (1 if hardware.colocate else roles) + (engines if engines_apart else 0)
    return trainer + math.ceil(run.slots * workers.gpus_per_slot)


def resource_plan(run: Run) -> list[tuple[str, str]]:
    """Return (what, how much) lines that describe what PPO will occupy."""
    config, gpu = run.config, on_gpu(run.config)
    hardware, ppo, workers = config.hardware, config.ppo, config.workers
    ranks = hardware.nodes * hardware.gpus_per_node
    devices = "GPUs" if gpu else "processes"
    critic = ppo.estimator == "gae"
    roles = ["actor", *(["critic"] if critic else []), *(["reference"] if ppo.kl_coef > 0 else [])]
    share = "sharing them" if hardware.colocate else "each on its own"
    engines = hardware.engines * hardware.tensor_parallel
    lines = [
        ("training", f"{ranks} {devices} ({', '.join(roles)}; {share})"),
        ("rollouts", f"{engines} {devices} in {hardware.engines} engines"),
        (f"{devices} in all", str(gpus_needed(run))),
        (
            "environments",
            f"{run.slots} slots of {workers.cpus_per_slot:g} CPUs and "
            f"{workers.gpus_per_slot:g} GPUs",
        ),
        (
            "samples",
            f"{ppo.updates} updates x {ppo.states_per_update} states x "
            f"{ppo.samples_per_state} samples",
        ),
        ("tasks", f"{len(run.held_in)} held-in, {len(run.held_out)} held-out"),
    ]
    if hardware.env_slots_per_node:
        nodes = math.ceil(run.slots / hardware.env_slots_per_node)
        offer = f"""--resources='{{"{SLOT}": {hardware.env_slots_per_node}}}'"""
        lines.append(("env nodes", f"{nodes}, each: ray start --address=HEAD:6379 {offer}"))
    state = trained_state_gb(config)
    if state is not None:
        awake = "; optimizers wait in host memory" if hardware.sleep else ""
        lines.append(
            (
                "trained state",
                f"{state:.2g} GB per rank and trained model{awake}, "
                f"{2 if critic else 1} models; activations not counted",
            )
        )
    return lines
