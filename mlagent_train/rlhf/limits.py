"""What the pinned OpenRLHF cannot do, refused before anything starts, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlagent_train.config import Config
from mlagent_train.hardware import gpu_count
from mlagent_train.rlhf.options import Value

__all__ = ["GROUP_ESTIMATORS", "impossible", "on_gpu", "sft_ranks"]

GROUP_ESTIMATORS = ("rloo", "reinforce_baseline", "group_norm", "dr_grpo")
"""Estimators whose baseline is the mean over the samples of one state."""


def on_gpu(config: Config) -> bool:
    """Return whether the run uses CUDA."""
    device = config.hardware.device
    return gpu_count() > 0 if device == "auto" else device == "gpu"


def sft_ranks(config: Config) -> int:
    """Return how many processes SFT runs in: one a GPU of the node it is started on."""
    return config.hardware.gpus_per_node if on_gpu(config) else 1


def impossible(config: Config, flags: Mapping[str, Value]) -> Iterator[str]:
    """Yield what OpenRLHF 0.11.2 would only notice after minutes, or not at all."""
    yield from _adapters(flags)
    yield from _batches(config)
    yield from _estimators(config)
    yield from _devices(config, flags)
    yield from _placement(config)
    if config.evaluate.every_updates and not config.evaluate.enabled:
        yield (
            "evaluate.every_updates repeats the evaluation made before training: "
            "set evaluate.enabled."
        )


def _adapters(flags: Mapping[str, Value]) -> Iterator[str]:
    if flags.get("ds.lora.rank"):
        yield (
            "LoRA does not work with PPO: OpenRLHF sends adapter weights under names "
            "that its rollout engine does not know; unset ds.lora.rank."
        )
    if flags.get("ds.load_in_4bit"):
        yield (
            "4-bit weights cannot be trained without LoRA, and LoRA does not work with PPO; "
            "unset ds.load_in_4bit."
        )


def _batches(config: Config) -> Iterator[str]:
    ppo, hardware = config.ppo, config.hardware
    samples = ppo.states_per_update * ppo.samples_per_state
    ranks = hardware.nodes * hardware.gpus_per_node
    if samples % ppo.batch_size:
        yield (
            f"ppo.batch_size ({ppo.batch_size}) must divide the samples of an update "
            f"({samples}), or the rest is never learned from."
        )
    if ppo.batch_size % (ppo.micro_batch_size * ranks):
        yield (
            f"ppo.batch_size ({ppo.batch_size}) must be a multiple of ppo.micro_batch_size "
            f"times the training ranks ({ppo.micro_batch_size} x {ranks})."
        )
    sft, sft_micro_batch = config.sft, config.sft.micro_batch_size * sft_ranks(config)
    if sft.enabled and on_gpu(config) and sft.batch_size % sft_micro_batch:
        yield (
            f"sft.batch_size ({sft.batch_size}) must be a multiple of sft.micro_batch_size times "
            f"the GPUs it runs on ({sft.micro_batch_size} x {sft_ranks(config)})."
        )
    if samples // config.rollout.micro_batch_size < ranks:
        yield "rollout.micro_batch_size leaves some training ranks without samples."


def _estimators(config: Config) -> Iterator[str]:
    ppo = config.ppo
    discounts = (ppo.gamma, ppo.gae_lambda)
    if ppo.estimator in GROUP_ESTIMATORS and ppo.samples_per_state < 2:
        yield f"ppo.estimator {ppo.estimator!r} compares samples: set ppo.samples_per_state >= 2."
    if config.env.mode == "episode" and discounts != (1.0, 1.0):
        yield (
            "Episodes need ppo.gamma = ppo.gae_lambda = 1: OpenRLHF discounts over "
            "the environment's tokens too."
        )
    if ppo.estimator not in ("gae", "reinforce") and ppo.gamma != 1.0:
        yield f"ppo.estimator {ppo.estimator!r} does not discount: OpenRLHF takes ppo.gamma as 1."
    if ppo.estimator != "gae" and ppo.gae_lambda != 1.0:
        yield f"ppo.gae_lambda is for the estimator 'gae' only, not for {ppo.estimator!r}."
    if ppo.kl_in_loss and ppo.kl_estimator == "k1":
        yield (
            "ppo.kl_in_loss needs ppo.kl_estimator 'k2' or 'k3': the expected gradient of "
            "'k1' is zero, so the policy would not be held back at all."
        )
    if ppo.kl_in_loss and not ppo.kl_coef:
        yield "ppo.kl_in_loss needs ppo.kl_coef above 0."


def _devices(config: Config, flags: Mapping[str, Value]) -> Iterator[str]:
    ppo, hardware = config.ppo, config.hardware
    packs = (
        hardware.packing or hardware.max_tokens_per_gpu or flags.get("ds.ring_attn_size", 1) != 1
    )
    flash = "flash_attention" in hardware.attention
    if not on_gpu(config):
        if packs:
            yield (
                "hardware.packing, hardware.max_tokens_per_gpu and ring attention need "
                "flash-attn, which needs a GPU."
            )
        if flash:
            yield f"hardware.attention {hardware.attention!r} needs a GPU: set 'sdpa' or 'eager'."
        if hardware.sleep:
            yield "hardware.sleep needs a GPU."
        return
    if hardware.engine == "transformers":
        yield (
            "hardware.engine 'transformers' is for runs without a GPU: set 'auto' or 'vllm', "
            "or hardware.device = 'cpu'."
        )
    if ppo.asynchronous and gpu_count() == 1 and not hardware.ray_address:
        yield "ppo.asynchronous needs separate GPUs to train and to generate; there is one."
    if packs and not flash:
        yield (
            "Packing, dynamic batches and ring attention run on flash-attn only: set "
            "hardware.attention = 'flash_attention_2'."
        )


def _placement(config: Config) -> Iterator[str]:
    ppo, hardware = config.ppo, config.hardware
    if hardware.colocate and not ppo.asynchronous:
        ranks = hardware.nodes * hardware.gpus_per_node
        engine_gpus = hardware.engines * hardware.tensor_parallel
        if engine_gpus != ranks:
            yield (
                f"Colocated synchronous PPO needs as many GPUs for engines ({engine_gpus}) "
                f"as for training ({ranks})."
            )
        if on_gpu(config) and not hardware.sleep and hardware.engine_memory_share > 0.8:
            yield (
                f"hardware.engine_memory_share ({hardware.engine_memory_share:g}) leaves no room "
                "for the models trained on the same GPU: lower it, or set hardware.sleep."
            )
    if ppo.partial_rollout and not ppo.asynchronous:
        yield "ppo.partial_rollout needs ppo.asynchronous."
