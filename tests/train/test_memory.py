"""mlagent_train.memory: arithmetic against numbers worked out by hand."""

import pytest

from mlagent_train.config import load_config
from mlagent_train.memory import parameters, sft_state_gb, trained_state_gb, waiting_state_gb


def test_a_models_name_says_how_large_it_is():
    config = load_config("h200x1")
    assert parameters(config) == 1.5e9
    unnamed = load_config("h200x1", ["model.path=/models/mine"])
    assert parameters(unnamed) is trained_state_gb(unnamed) is waiting_state_gb(unnamed) is None


def test_a_tiny_models_shape_does(tiny_model):
    import json

    from safetensors import safe_open

    with safe_open(tiny_model / "model.safetensors", "pt") as file:
        real = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    made = json.loads((tiny_model / "config.json").read_text())
    shape = "hidden_size = 32, layers = 2, heads = 2, kv_heads = 2, intermediate_size = 64"
    config = load_config("cpu-tiny", [f"model.tiny={{vocab_size = {made['vocab_size']}, {shape}}}"])
    assert parameters(config) == pytest.approx(real, rel=0.02)  # norms and biases are left out


@pytest.mark.parametrize(
    ("overrides", "gb"),
    [
        ([], 7 * 16 / 4),
        (["ppo.zero_stage=2"], 7 * (2 + 14 / 4)),
        (["ppo.zero_stage=1"], 7 * (4 + 12 / 4)),
        (["ppo.zero_stage=0"], 7 * 16),
        (["hardware.offload_optimizer=true"], 7 * 4 / 4),
    ],
)
def test_sixteen_bytes_a_parameter_are_shared_by_the_ranks(overrides, gb):
    config = load_config("qwen2.5-7b-8gpu", ["model.path=Qwen/Qwen2.5-7B", *overrides])
    assert trained_state_gb(config) == pytest.approx(gb)


@pytest.mark.parametrize(
    ("preset", "overrides", "gb"),
    [
        ("qwen2.5-7b-8gpu", [], 7 * 16 / 4),
        ("multinode", [], 7 * 16 / 8),  # on one node
        ("qwen2.5-7b-8gpu", ["sft.zero_stage=2"], 7 * (2 + 14 / 4)),
        ("h200x1", [], 1.5 * 16),
    ],
)
def test_fine_tuning_is_shared_by_the_gpus_of_a_node(preset, overrides, gb):
    assert sft_state_gb(load_config(preset, overrides)) == pytest.approx(gb)


def test_sleeping_optimizers_and_engines_wait_in_host_memory():
    assert waiting_state_gb(load_config("h200x1")) == pytest.approx(1.5 * (2 * 12 + 2))
    assert waiting_state_gb(load_config("cpu-tiny")) == 0.0
    no_critic = load_config("h200x1", ["ppo.estimator=group_norm", "ppo.samples_per_state=4"])
    assert waiting_state_gb(no_critic) == pytest.approx(1.5 * (12 + 2))
