"""Whether this machine has what a run needs, asked before anything starts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from mlagent_gym import load_task, prepared_variants, task_ids
from mlagent_train.errors import MachineError
from mlagent_train.hardware import cpu_count, gpu_count, gpu_memory_gb
from mlagent_train.memory import (
    parameters,
    sft_state_gb,
    trained_state_gb,
    waiting_state_gb,
)
from mlagent_train.plan import gpus_needed
from mlagent_train.rlhf.limits import on_gpu, sft_ranks
from mlagent_train.run import Run

__all__ = ["Check", "preflight", "require_trainer"]

KNOWN = {"openrlhf": "0.11.2", "deepspeed": "0.19.6", "ray": "2.55.0", "transformers": "5.15.0"}
"""Versions the trainer was written for; OpenRLHF pins the others to exactly these."""


@dataclass(frozen=True)
class Check:
    """One thing a run needs."""

    name: str
    passed: bool | None
    """None: it cannot be told from here."""
    detail: str


def preflight(run: Run) -> list[Check]:
    """Return the checks of a run, in the order in which they would hurt."""
    return [
        *_versions(run),
        *_gpus(run),
        *_memory(run),
        *_disk(run),
        *_data(run),
        *_slots(run),
        *_time(run),
    ]


def require_trainer(run: Run) -> None:
    """Check that PPO can start on this machine's GPUs, before the stages that lead up to it.

    Without a GPU nothing is asked: there the process of each stage checks what it needs.

    Raises
    ------
    MachineError
        A version, a package or a GPU is missing.
    """
    if not on_gpu(run.config):
        return
    checks = (*_versions(run), *_gpus(run))
    failed = [f"{check.name}: {check.detail}" for check in checks if check.passed is False]
    if failed:
        raise MachineError(
            f"PPO could not start on this machine, so nothing was begun. {'. '.join(failed)}. "
            "The same command with --dry-run shows everything it needs."
        )


def _versions(run: Run) -> Iterator[Check]:
    wrong = []
    for name, known in KNOWN.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != known:
            wrong.append(f"{name} {found} (known: {known})")
    detail = "; ".join(wrong) or ", ".join(f"{name} {known}" for name, known in KNOWN.items())
    hint = ". Install what requirements/README.md says" if wrong else ""
    yield Check("versions", not wrong, detail + hint)
    needed = ["vllm"] if on_gpu(run.config) else []
    if run.config.hardware.packing or "flash_attention" in run.config.hardware.attention:
        needed.append("flash_attn")
    if needed:
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        hint = (
            "; flash-attn is compiled against the installed torch"
            if "flash_attn" in missing
            else ""
        )
        yield Check(
            "GPU packages",
            not missing,
            f"not installed: {', '.join(missing)}{hint}" if missing else ", ".join(needed),
        )


def _gpus(run: Run) -> Iterator[Check]:
    if not on_gpu(run.config):
        return
    hardware, needed, found = run.config.hardware, gpus_needed(run), gpu_count()
    if hardware.ray_address:
        yield Check("GPUs", None, f"{needed} needed in the Ray cluster at {hardware.ray_address!r}")
        sft, evaluate = run.config.sft.enabled, run.config.evaluate.enabled
        here = max(sft * sft_ranks(run.config), evaluate * hardware.tensor_parallel)
        yield Check(
            "GPUs here", found >= here, f"{here} needed for SFT and evaluation, {found} here"
        )
        return
    yield Check("GPUs", found >= needed, f"{needed} needed, {found} here")


def _memory(run: Run) -> Iterator[Check]:
    config = run.config
    state, parked = trained_state_gb(config), waiting_state_gb(config)
    if state is None or parked is None:
        yield Check("memory", None, f"the name {config.model.path!r} does not say how large it is")
        return
    hardware = config.hardware
    critic = config.ppo.estimator == "gae"
    if on_gpu(config):
        # with sleep one model is awake at a time; without, all that share the GPU are
        awake = 1 + critic if hardware.colocate and not hardware.sleep else 1
        share = hardware.colocate and not config.ppo.asynchronous and not hardware.sleep
        room = 1.0 - hardware.engine_memory_share if share else 0.95
        words = f"{awake * state:.0f} GB a GPU while training, activations not counted"
        size = gpu_memory_gb()
        if size is None:
            yield Check("GPU memory", None, f"{words}; no GPU here to compare with")
        else:
            fits = awake * state < room * size
            yield Check("GPU memory", fits, f"{words}; {room * size:.0f} GB of {size:.0f} for it")
            yield from _sft_memory(run, 0.95 * size)
        total = psutil.virtual_memory().total / 1e9
        known = None if hardware.ray_address else parked < 0.9 * total
        yield Check(
            "host memory", known, f"{parked:.0f} GB parked on each node; this one has {total:.0f}"
        )
    else:
        # three or four processes of torch and DeepSpeed beside the models
        needed = 3.0 + 3 * state
        free = psutil.virtual_memory().available / 1e9
        yield Check("memory", free > needed, f"about {needed:.1f} GB needed, {free:.1f} GB free")


def _sft_memory(run: Run, room_gb: float) -> Iterator[Check]:
    state, ranks = sft_state_gb(run.config), sft_ranks(run.config)
    if run.config.sft.enabled and state is not None:
        on = "one GPU" if ranks == 1 else f"each of {ranks} GPUs"
        detail = f"{state:.0f} GB on {on}, activations not counted; {room_gb:.0f} GB for it"
        yield Check("SFT memory", state < room_gb, detail)


def _disk(run: Run) -> Iterator[Check]:
    count, ppo = parameters(run.config), run.config.ppo
    where = next(path for path in (run.folder, *run.folder.parents) if path.exists())
    free = shutil.disk_usage(where).free / 1e9
    needed = run.config.hardware.min_free_disk_gb
    detail = f"{free:.0f} GB free at {where}, hardware.min_free_disk_gb asks for {needed:g}"
    if count is not None:
        # an actor's (and critic's) weights, moments and bf16 copy in every checkpoint kept
        models = 2 if ppo.estimator == "gae" else 1
        kept = ppo.keep_checkpoints + 1 + (run.config.evaluate.every_updates > 0)
        estimate = count * (14 * models * kept + 2 * 6) / 1e9
        needed = max(needed, estimate)
        detail += f", checkpoints take about {estimate:.1f}"
    yield Check("disk", free > needed, detail)


def _data(run: Run) -> Iterator[Check]:
    if run.config.tasks.variant == "synthetic":
        yield Check("data", True, "synthetic, made on the spot")
        return
    known = set(task_ids())
    tasks = [task for task in (*run.held_in, *run.held_out) if task in known]
    missing = [
        task for task in tasks if run.config.tasks.variant not in prepared_variants(load_task(task))
    ]
    yield Check(
        "data",
        not missing,
        f"real data not prepared: {', '.join(missing)}; run `mlagent prepare` for each"
        if missing
        else f"real, prepared for {len(tasks)} tasks",
    )


def _slots(run: Run) -> Iterator[Check]:
    workers = run.config.workers
    wanted, cores = run.slots * workers.cpus_per_slot, cpu_count()
    if run.config.hardware.ray_address:
        yield Check("env slots", None, f"{run.slots} slots of the Ray cluster")
        return
    yield Check(
        "env slots",
        wanted <= cores,
        f"{run.slots} slots x {workers.cpus_per_slot:g} CPUs on {cores} cores"
        + ("" if wanted <= cores else "; lower workers.slots, or offer slots on other nodes"),
    )


def _time(run: Run) -> Iterator[Check]:
    limit_s, longest_s = run.step_timeout_s, run.longest_s
    yield Check(
        "step time",
        limit_s > longest_s,
        f"workers are given up after {limit_s:g} s, scripts of a step end within {longest_s:g} s"
        + ("" if limit_s > longest_s else "; leave workers.step_timeout_s at 0"),
    )
