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
from mlagent_train.rlhf.limits import impossible, on_gpu
from mlagent_train.rlhf.options import PPO_COMMAND, SFT_COMMAND, Value, check_options

__all__ = ["BEST_METRIC", "PpoFiles", "SftFiles", "ppo_flags", "sft_flags", "updates_ahead"]


BEST_METRIC = "eval_held-in_pass1"
"""OpenRLHF's name of the mean reward over the evaluation rows whose data source is held-in."""


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
    evaluation: Path
    """Prompts of whole episodes, for ``evaluate.every_updates``."""
    agent: Path
    checkpoints: Path
    output: Path
    tensorboard: Path


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
        "rollout.max_tokens_per_gpu": hardware.max_tokens_per_gpu or None,
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
        "algo.kl.use_loss": ppo.kl_in_loss,
        "actor.eps_clip_low_high": ppo.clip,
        "critic.value_clip": ppo.value_clip,
        # without a critic there is nothing to wait for
        "critic.freezing_steps": ppo.critic_warmup_updates if ppo.estimator == "gae" else -1,
        "actor.entropy_coef": ppo.entropy_coef,
        "actor.adam.lr": ppo.actor_lr,
        "actor.adam.eps": ppo.actor_adam_eps,
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
        **_evaluation(config, files),
        "ckpt.path": str(files.checkpoints),
        "ckpt.output_dir": str(files.output),
        "ckpt.save_steps": ppo.save_every_updates,
        "ckpt.max_num": ppo.keep_checkpoints,
        "ckpt.save_hf": config.evaluate.every_updates > 0 or config.collapse.updates > 0,
        "ckpt.load_enable": True,
        "logger.logging_steps": 1,
        **_logging(config, files.tensorboard, "ppo"),
    }
    flags = _checked(PPO_COMMAND, flags, config.openrlhf.ppo)
    if problems := list(impossible(config, flags)):
        raise ConfigError(f"{config.name}: " + " ".join(problems))
    return flags


def updates_ahead(config: Config) -> int:
    """Return for how many further updates OpenRLHF has generated when it evaluates one.

    Its asynchronous generator learns that an update was made only after it has filled the
    queue of samples again.
    """
    if not config.ppo.asynchronous:
        return 0
    return int(dict(_flat(config.openrlhf.ppo)).get("train.async_queue_size", 1))


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


def _evaluation(config: Config, files: PpoFiles) -> dict[str, Value]:
    """Return what makes OpenRLHF evaluate whole episodes and keep the best checkpoint.

    The agent's reward of an evaluated episode is its relative gain, so that OpenRLHF's
    mean reward of a data source is the mean gain of a split.
    """
    if not config.evaluate.every_updates:
        return {"ckpt.best_metric_key": "none"}
    return {
        "eval.dataset": str(files.evaluation),
        "eval.steps": config.evaluate.every_updates,
        "eval.temperature": config.evaluate.temperature,
        "eval.n_samples_per_prompt": 1,
        "ckpt.best_metric_key": BEST_METRIC,
    }


def _context_tokens(config: Config) -> int:
    rollout, env = config.rollout, config.env
    turn = rollout.max_prompt_tokens + rollout.max_new_tokens
    if env.mode == "step":
        return turn
    return max(turn, min(env.max_steps * turn, rollout.max_episode_tokens))


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
            " Set one of them, or leave the project out."
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
    "ckpt.best_metric_key",
    "ckpt.load_enable",
    "ckpt.output_dir",
    "ckpt.path",
    "data.dataset",
    "data.input_key",
    "data.input_template",
    "data.label_key",
    "data.output_key",
    "data.prompt_dataset",
    "eval.dataset",
    "eval.n_samples_per_prompt",
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
            raise ConfigError(
                f"OpenRLHF's --{name} is set by the run folder and cannot be chosen. Leave it out."
            )
        flags[name] = tuple(value) if isinstance(value, list) else value
    check_options(command, flags)
    return flags


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
