"""mlagent_train.rlhf.limits: what OpenRLHF cannot do is refused before anything starts."""

from pathlib import Path

import pytest

from mlagent_train.config import load_config
from mlagent_train.errors import ConfigError
from mlagent_train.rlhf import limits
from mlagent_train.rlhf.flags import PpoFiles, ppo_flags

HERE = Path("/run")
FILES = PpoFiles("/run/m", HERE, HERE, HERE, HERE, HERE, HERE)


def refuse(preset, overrides, message):
    with pytest.raises(ConfigError, match=message):
        ppo_flags(load_config(preset, overrides), FILES)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["openrlhf.ppo.ds.lora.rank=8"], "LoRA does not work with PPO"),
        (["openrlhf.ppo.ds.load_in_4bit=true"], "4-bit weights cannot be trained"),
        (["openrlhf.ppo.ckpt.path=/tmp/x"], "cannot be chosen"),
        (["openrlhf.ppo.eval.dataset=/tmp/x"], "cannot be chosen"),
        (["openrlhf.ppo.ckpt.pat=/tmp/x"], "no option --ckpt.pat"),
        (["ppo.batch_size=36"], "must divide"),
        (["ppo.micro_batch_size=5"], "must be a multiple of ppo.micro_batch_size"),
        (["rollout.micro_batch_size=128"], "leaves some training ranks without samples"),
        (["ppo.estimator=rloo"], "samples_per_state >= 2"),
        (["ppo.estimator=dr_grpo"], "samples_per_state >= 2"),
        (["ppo.estimator=reinforce", "ppo.gae_lambda=0.9"], "for the estimator 'gae' only"),
        (["ppo.estimator=flash_reinforce", "ppo.gamma=0.9"], "does not discount"),
        (["ppo.kl_in_loss=true"], "'k2' or 'k3'"),
        (["ppo.kl_in_loss=true", "ppo.kl_estimator=k3", "ppo.kl_coef=0"], "kl_coef above 0"),
        (["hardware.packing=true"], "need flash-attn, which needs a GPU"),
        (["hardware.max_tokens_per_gpu=1024"], "need flash-attn, which needs a GPU"),
        (["openrlhf.ppo.ds.ring_attn_size=2"], "need flash-attn, which needs a GPU"),
        (["hardware.attention=flash_attention_2"], "needs a GPU: set 'sdpa'"),
        (["hardware.sleep=true"], "sleep needs a GPU"),
        (["ppo.partial_rollout=true"], "needs ppo.asynchronous"),
        (["env.mode=episode", "ppo.gae_lambda=0.9"], "gae_lambda = 1"),
        (["env.mode=episode", "ppo.gamma=0.9"], "gamma = ppo.gae_lambda = 1"),
        (["hardware.colocate=true", "hardware.engines=2"], "as many GPUs for engines"),
        (["evaluate.every_updates=2", "evaluate.enabled=false"], "set evaluate.enabled"),
    ],
)
def test_on_a_cpu(overrides, message):
    refuse("cpu-tiny", overrides, message)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hardware.packing=true"], "run on flash-attn only"),
        (["sft.batch_size=30"], r"sft.batch_size \(30\) must be a multiple .* \(4 x 1\)"),
        (["hardware.max_tokens_per_gpu=4096"], "run on flash-attn only"),
        (["hardware.engine=transformers"], "'transformers' is for runs without a GPU"),
        (["hardware.sleep=false", "hardware.engine_memory_share=0.9"], "leaves no room"),
        (["hardware.engines=2"], r"GPUs for engines \(2\) as for training \(1\)"),
    ],
)
def test_on_gpus(overrides, message):
    refuse("h200x1", overrides, message)


def test_training_beside_generation_needs_a_second_gpu(monkeypatch):
    monkeypatch.setattr(limits, "gpu_count", lambda: 1)
    refuse("h200x1", ["ppo.asynchronous=true"], "separate GPUs to train and to generate")
