"""How much memory training takes: arithmetic on parameter counts, not a measurement."""

from __future__ import annotations

import re

from mlagent_train.config import Config
from mlagent_train.config.schema import TinyModel
from mlagent_train.rlhf.limits import sft_ranks

__all__ = ["parameters", "sft_state_gb", "trained_state_gb", "waiting_state_gb"]

_WEIGHTS, _GRADIENTS, _ADAM = 2, 2, 12
"""Bytes a parameter: bf16 weights and gradients, fp32 weights and two moments."""


def parameters(config: Config) -> float | None:
    """Return the policy's parameter count; None if nothing says it.

    A model's name says it (``Qwen2.5-7B``); of a `tiny` model it follows from its shape.
    """
    if not config.model.path:
        return _tiny(config.model.tiny)
    size = re.search(r"(\d+(?:\.\d+)?)[bB]\b", config.model.path)
    return float(size.group(1)) * 1e9 if size else None


def trained_state_gb(config: Config) -> float | None:
    """Return GPU memory of one rank's share of one trained model, without activations."""
    ranks = config.hardware.nodes * config.hardware.gpus_per_node
    return _state_gb(config, ranks, config.ppo.zero_stage)


def sft_state_gb(config: Config) -> float | None:
    """Return the same of the one model that SFT trains."""
    return _state_gb(config, sft_ranks(config), config.sft.zero_stage)


def waiting_state_gb(config: Config) -> float | None:
    """Return host memory, on each node, of what is parked there: optimizers and sleepers."""
    count, hardware, trained = parameters(config), config.hardware, 1
    if count is None:
        return None
    if config.ppo.estimator == "gae":
        trained = 2
    parked = _ADAM if hardware.sleep or hardware.offload_optimizer else 0
    share = parked / hardware.nodes if config.ppo.zero_stage else parked * hardware.gpus_per_node
    engine = _WEIGHTS * hardware.engines if hardware.sleep and hardware.colocate else 0
    return count * (trained * share + engine / hardware.nodes) / 1e9


def _state_gb(config: Config, ranks: int, stage: int) -> float | None:
    count = parameters(config)
    if count is None:
        return None
    adam = 0.0 if config.hardware.offload_optimizer else _ADAM / (ranks if stage >= 1 else 1)
    gradients = _GRADIENTS / (ranks if stage >= 2 else 1)
    weights = _WEIGHTS / (ranks if stage == 3 else 1)
    return count * (adam + gradients + weights) / 1e9


def _tiny(tiny: TinyModel) -> float:
    head = tiny.hidden_size // tiny.heads
    attention = tiny.hidden_size * head * (2 * tiny.heads + 2 * tiny.kv_heads)
    mlp = 3 * tiny.hidden_size * tiny.intermediate_size
    return float(tiny.vocab_size * tiny.hidden_size + tiny.layers * (attention + mlp))
