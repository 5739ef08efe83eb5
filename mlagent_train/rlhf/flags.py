"""The one place where our configuration becomes OpenRLHF's options."""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlagent_train.config import Config
from mlagent_train.errors import ConfigError
from mlagent_train.hardware import gpu_count
from mlagent_train.rlhf.options import PPO_COMMAND, SFT_COMMAND, Value, check_options

__all__ = ["PpoFiles", "SftFiles", "on_gpu", "ppo_flags", "sft_flags"]


@dataclass(frozen=True)
class SftFiles:
    """What supervised fine-tuning reads and writes."""

    model: str
    examples: Path
    checkpoints: Path
    output: Path
    tensorboard: Path


@dataclass(frozen=True)
class PpoFiles:
    """What PPO reads and writes."""

    model: str
    prompts: Path
    agent: Path
    checkpoints: Path
    output: Path
    tensorboard: Path


def on_gpu(config: Config) -> bool:
    """Return whether the run uses CUDA."""
    device = config.hardware.device
    return gpu_count() > 0 if device == "auto" else device == "gpu"


def sft_flags(config: Config, files: SftFiles) -> dict[str, Value]:
    """Return the options of OpenRLHF's SFT command.

    Raises
    ------
    ConfigError
        An option OpenRLHF does not have or cannot follow here.
    """
    sft, hardware = config.sft, config.hardware
    flags: dict[str, Value] = {
        "model.model_name_or_path": files.model,
        "model.gradient_checkpointing_enable": hardware.gradient_checkpointing,
        "data.dataset": str(files.examples),
        "data.input_key": "input",
        "data.output_key": "output",
        "data.input_template": "",  # the examples hold the rendered chat; nothing is added
        "data.max_len": sft.max_tokens,
        "train.max_epochs": sft.epochs,
        "train.batch_size": sft.batch_size,
        "train.micro_batch_size": sft.micro_batch_size,
        "train.seed": config.seed,
        "adam.lr": sft.lr,
        "lr_scheduler": sft.lr_scheduler,
        "lr_warmup_ratio": sft.warmup_share,
        "ds.zero_stage": sft.zero_stage,
        "ds.param_dtype": "bf16",
        "ds.attn_implementation": hardware.attention,
        "ds.packing_samples": hardware.packing,
        "ds.adam_offload": hardware.offload_optimizer,
        "ckpt.path": str(files.checkpoints),
        "ckpt.output_dir": str(files.output),
        "ckpt.save_steps": sft.save_every_updates,
        "ckpt.max_num": 2,
        "ckpt.load_enable": True,
        "logger.logging_steps": 1,
        **_logging(config, files.tensorboard, "sft"),
    }
    return _checked(SFT_COMMAND, flags, config.openrlhf.sft)


def ppo_flags(config: Config, files: PpoFiles) -> dict[str, Value]:
    """Return the options of OpenRLHF's PPO command.

    Raises
    ------
    ConfigError
        An option OpenRLHF does not have, or a combination it cannot run here.
    """
    ppo, rollout, hardware = config.ppo, config.rollout, config.hardware
    gpu = on_gpu(config)
    flags: dict[str, Value] = {
        "actor.model_name_or_path": files.model,
        **_placement(config),
        "vllm.sync_backend": "nccl" if gpu else "gloo",
        "vllm.enable_prefix_caching": gpu,
        "ds.zero_stage": ppo.zero_stage,
        "ds.param_dtype": "bf16",
        "ds.attn_implementation": hardware.attention,
        "ds.packing_samples": hardware.packing,
        "ds.adam_offload": hardware.offload_optimizer,
        "actor.gradient_checkpointing_enable": hardware.gradient_checkpointing,
        "train.dynamic_batch_enable": hardware.max_tokens_per_gpu > 0,
        "train.max_tokens_per_gpu": hardware.max_tokens_per_gpu or None,
        "train.async_enable": ppo.asynchronous,
        "train.partial_rollout_enable": ppo.partial_rollout,
        # Samples of an asynchronous run are a few updates old: clip their weight.
        "algo.advantage.is_correction_level": "token" if ppo.asynchronous else None,
        "algo.advantage.is_correction_mode": "clip" if ppo.asynchronous else None,
        "algo.advantage.estimator": ppo.estimator,
        "algo.advantage.gamma": ppo.gamma,
        "algo.advantage.lambd": ppo.gae_lambda,
        "algo.kl.init_coef": ppo.kl_coef,
        "algo.kl.estimator": ppo.kl_estimator,
        "actor.eps_clip_low_high": ppo.clip,
        "critic.value_clip": ppo.value_clip,
        "critic.freezing_steps": ppo.critic_warmup_updates,
        "actor.entropy_coef": ppo.entropy_coef,
        "actor.adam.lr": ppo.actor_lr,
        "critic.adam.lr": ppo.critic_lr,
        "actor.max_norm": ppo.max_norm,
        "critic.max_norm": ppo.max_norm,
        "actor.lr_scheduler": ppo.lr_scheduler,
        "critic.lr_scheduler": ppo.lr_scheduler,
        "actor.lr_warmup_ratio": ppo.warmup_share,
        "critic.lr_warmup_ratio": ppo.warmup_share,
        "train.seed": config.seed,
        "train.num_episodes": 1,  # the prompt file holds every update's states, drawn by us
        "train.max_epochs": ppo.epochs,
        "train.batch_size": ppo.batch_size,
        "train.micro_batch_size": ppo.micro_batch_size,
        "rollout.batch_size": ppo.states_per_update,
        "rollout.n_samples_per_prompt": ppo.samples_per_state,
        "rollout.micro_batch_size": rollout.micro_batch_size,
        "rollout.max_new_tokens": rollout.max_new_tokens,
        "rollout.temperature": rollout.temperature,
        "rollout.top_p": rollout.top_p,
        "data.max_len": _context_tokens(config),
        "data.prompt_dataset": str(files.prompts),
        "data.input_key": "input",
        "data.label_key": "label",
        "train.agent_func_path": str(files.agent),
        "ckpt.path": str(files.checkpoints),
        "ckpt.output_dir": str(files.output),
        "ckpt.save_steps": ppo.save_every_updates,
        "ckpt.max_num": ppo.keep_checkpoints,
        "ckpt.load_enable": True,
        "logger.logging_steps": 1,
        **_logging(config, files.tensorboard, "ppo"),
    }
    flags = _checked(PPO_COMMAND, flags, config.openrlhf.ppo)
    if problems := list(_impossible(config, flags)):
        raise ConfigError(f"{config.name}: " + " ".join(problems))
    return flags


def _placement(config: Config) -> dict[str, Value]:
    hardware = config.hardware
    roles = ["actor", "critic"] + (["ref"] if config.ppo.kl_coef > 0 else [])
    sizes: dict[str, Value] = {}
    for role in roles:
        sizes[f"{role}.num_nodes"] = hardware.nodes
        sizes[f"{role}.num_gpus_per_node"] = hardware.gpus_per_node
    engines_share = hardware.colocate and not config.ppo.asynchronous
    return {
        **sizes,
        "train.colocate_all": hardware.colocate,
        "ds.enable_sleep": hardware.sleep,
        "vllm.num_engines": hardware.engines,
        "vllm.tensor_parallel_size": hardware.tensor_parallel,
        "vllm.gpu_memory_utilization": hardware.engine_memory_share,
        "vllm.enable_sleep": hardware.sleep and engines_share,
        # graphs are not captured where engines sleep, nor compiled where there is no GPU
        "vllm.enforce_eager": (hardware.sleep and engines_share) or not on_gpu(config),
    }


def _context_tokens(config: Config) -> int:
    rollout, env = config.rollout, config.env
    turns = env.max_steps if env.mode == "episode" else 1
    return turns * (rollout.max_prompt_tokens + rollout.max_new_tokens)


def _logging(config: Config, tensorboard: Path, name: str) -> dict[str, Value]:
    flags: dict[str, Value] = {
        "logger.tensorboard_dir": str(tensorboard),
        "logger.wandb.run_name": name,  # also the folder of the event files
    }
    project = config.logging.wandb_project
    if not project or name == "sft":  # with W&B, OpenRLHF's SFT would write no event files
        return flags
    if not _has_wandb_key():
        raise ConfigError(
            "logging.wandb_project is set, but there is neither WANDB_API_KEY in the "
            "environment nor a key of `wandb login` in ~/.netrc."
        )
    return {
        **flags,
        "logger.wandb.group": config.name,
        "logger.wandb.project": project,
        # A command line is readable by every user of the machine. OpenRLHF only asks whether
        # this is set: wandb itself finds the key in the environment or in ~/.netrc.
        "logger.wandb.key": "from-environment",
    }


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc().authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


_OWNED = (
    "actor.model_name_or_path",
    "ckpt.load_enable",
    "ckpt.output_dir",
    "ckpt.path",
    "data.dataset",
    "data.input_key",
    "data.input_template",
    "data.label_key",
    "data.output_key",
    "data.prompt_dataset",
    "logger.tensorboard_dir",
    "logger.wandb.key",
    "model.model_name_or_path",
    "train.agent_func_path",
    "train.num_episodes",
)
"""Files and formats of the run folder: the stages rely on them."""


def _checked(command: str, flags: dict[str, Value], extra: Mapping[str, Any]) -> dict[str, Value]:
    for name, value in _flat(extra):
        if name in _OWNED:
            raise ConfigError(f"OpenRLHF's --{name} is set by the run folder and cannot be chosen.")
        flags[name] = tuple(value) if isinstance(value, list) else value
    check_options(command, flags)
    return flags


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _impossible(config: Config, flags: Mapping[str, Value]) -> Iterator[str]:
    """Yield what OpenRLHF 0.11.2 would only notice after minutes, or not at all."""
    ppo, hardware = config.ppo, config.hardware
    samples = ppo.states_per_update * ppo.samples_per_state
    if flags.get("ds.lora.rank"):
        yield (
            "LoRA does not work with PPO: OpenRLHF sends adapter weights under names "
            "that its rollout engine does not know; unset ds.lora.rank."
        )
    if samples % ppo.batch_size:
        yield (
            f"ppo.batch_size ({ppo.batch_size}) must divide the samples of an update "
            f"({samples}), or the rest is never learned from."
        )
    ranks = hardware.nodes * hardware.gpus_per_node
    if ppo.batch_size % (ppo.micro_batch_size * ranks):
        yield (
            f"ppo.batch_size ({ppo.batch_size}) must be a multiple of ppo.micro_batch_size "
            f"times the training ranks ({ppo.micro_batch_size} x {ranks})."
        )
    if samples // config.rollout.micro_batch_size < ranks:
        yield "rollout.micro_batch_size leaves some training ranks without samples."
    groups = ("rloo", "reinforce_baseline", "group_norm", "dr_grpo")
    if ppo.estimator in groups and ppo.samples_per_state < 2:
        yield f"ppo.estimator {ppo.estimator!r} compares samples: set ppo.samples_per_state >= 2."
    if config.env.mode == "episode" and (ppo.gamma, ppo.gae_lambda) != (1.0, 1.0):
        yield (
            "Episodes need ppo.gamma = ppo.gae_lambda = 1: OpenRLHF discounts over "
            "the environment's tokens too."
        )
    if not on_gpu(config):
        if hardware.packing or hardware.max_tokens_per_gpu:
            yield "hardware.packing and max_tokens_per_gpu need flash-attn, which needs a GPU."
        if hardware.sleep:
            yield "hardware.sleep needs a GPU."
    elif ppo.asynchronous and gpu_count() == 1 and not hardware.ray_address:
        yield "ppo.asynchronous needs separate GPUs to train and to generate; there is one."
    if hardware.colocate and not ppo.asynchronous:
        engine_gpus = hardware.engines * hardware.tensor_parallel
        if engine_gpus != ranks:
            yield (
                f"Colocated synchronous PPO needs as many GPUs for engines ({engine_gpus}) "
                f"as for training ({ranks})."
            )
    elif ppo.partial_rollout and not ppo.asynchronous:
        yield "ppo.partial_rollout needs ppo.asynchronous."
