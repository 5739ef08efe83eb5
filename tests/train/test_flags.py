"""mlagent_train.rlhf.flags and options, against the argument parser of the installed OpenRLHF."""

import argparse
import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from mlagent_train.config import load_config, preset_names
from mlagent_train.errors import ConfigError
from mlagent_train.rlhf.flags import BEST_METRIC, PpoFiles, SftFiles, ppo_flags, sft_flags
from mlagent_train.rlhf.options import (
    PPO_COMMAND,
    SFT_COMMAND,
    check_options,
    read_options,
    to_argv,
)

FILES = {name: Path(f"/run/{name}") for name in ("checkpoints", "output", "tensorboard")}
PPO_FILES = PpoFiles(
    model="/run/m",
    prompts=Path("/run/p"),
    evaluation=Path("/run/e"),
    agent=Path("/run/a.py"),
    **FILES,
)
SFT_FILES = SftFiles(model="/run/m", examples=Path("/run/e"), **FILES)


@pytest.fixture(scope="module")
def real_parser():
    """Build OpenRLHF's own parser by running that part of its command, and nothing else of it."""

    def build(command):
        folder = Path(importlib.util.find_spec("openrlhf").submodule_search_locations[0])
        source = folder.joinpath(*command.split(".")[1:]).with_suffix(".py").read_text()
        main = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
        body = []
        for statement in main.body:
            if "parse_args" in ast.unparse(statement):
                break
            body.append(statement)
        names = {"argparse": argparse}
        exec("from datetime import datetime", names)
        exec(compile(ast.Module(body, []), command, "exec"), names)
        return names["parser"]

    return build


@pytest.fixture(scope="module")
def real_validation():
    """Run OpenRLHF's PPO command up to where it would start: its parser and its own checks."""
    folder = Path(importlib.util.find_spec("openrlhf").submodule_search_locations[0])
    source = (folder / "cli" / "train_ppo_ray.py").read_text()
    main = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    body = [node for node in main.body if "import hierarchize" not in ast.unparse(node)]
    config = {}
    exec((folder / "utils" / "config.py").read_text(), config)
    code = compile(ast.Module(body, []), PPO_COMMAND, "exec")

    def validate(argv, monkeypatch):
        started = []
        names = {
            "argparse": argparse,
            "hierarchize": config["hierarchize"],
            "train": started.append,
        }
        exec("from datetime import datetime", names)
        monkeypatch.setattr(sys, "argv", [PPO_COMMAND, *argv])
        exec(code, names)
        return started[0]

    return validate


@pytest.mark.parametrize("name", preset_names())
def test_openrlhf_parses_the_commands_of_every_preset(name, real_parser):
    config = load_config(name)
    ppo = real_parser(PPO_COMMAND).parse_args(to_argv(ppo_flags(config, PPO_FILES)))
    assert getattr(ppo, "rollout.batch_size") == config.ppo.states_per_update
    assert getattr(ppo, "actor.adam.lr") == config.ppo.actor_lr
    assert getattr(ppo, "actor.adam.eps") == config.ppo.actor_adam_eps
    assert getattr(ppo, "train.colocate_all") is config.hardware.colocate
    assert getattr(ppo, "actor.eps_clip_low_high") == list(config.ppo.clip)
    sft = real_parser(SFT_COMMAND).parse_args(to_argv(sft_flags(config, SFT_FILES)))
    assert getattr(sft, "data.input_template") == ""
    assert getattr(sft, "train.max_epochs") == config.sft.epochs


@pytest.mark.parametrize("name", preset_names())
def test_openrlhfs_own_checks_pass_for_every_preset(name, real_validation, monkeypatch, capsys):
    argv = to_argv(ppo_flags(load_config(name), PPO_FILES))
    args = real_validation(argv, monkeypatch)
    assert args.reward.remote_url == ["agent"]
    assert args.critic.model_name_or_path == "/run/m"
    # it corrects nothing of what was asked for; of models that share GPUs it only says which
    known = "[Warning] Using --colocate_all_models in async RLHF only colocates DeepSpeed models."
    assert "[Warning]" not in capsys.readouterr().out.replace(known, "")


ESTIMATORS = (
    "gae",
    "reinforce",
    "rloo",
    "reinforce_baseline",
    "group_norm",
    "dr_grpo",
    "flash_reinforce",
)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_passes_openrlhfs_own_checks(estimator, real_validation, monkeypatch):
    config = load_config("cpu-tiny", [f"ppo.estimator={estimator}", "ppo.samples_per_state=4"])
    args = real_validation(to_argv(ppo_flags(config, PPO_FILES)), monkeypatch)
    assert args.algo.advantage.estimator == estimator
    assert (args.critic.model_name_or_path is None) == (estimator != "gae")
    assert args.critic.freezing_steps == (0 if estimator == "gae" else -1)


def test_evaluation_between_updates_is_openrlhfs_own(real_validation, monkeypatch):
    config = load_config("cpu-tiny", ["evaluate.every_updates=5", "evaluate.temperature=0.5"])
    args = real_validation(to_argv(ppo_flags(config, PPO_FILES)), monkeypatch)
    assert (args.eval.dataset, args.eval.steps) == ("/run/e", 5)
    assert (args.eval.temperature, args.eval.n_samples_per_prompt) == (0.5, 1)
    assert args.ckpt.best_metric_key == BEST_METRIC
    assert args.ckpt.save_hf is True
    without = ppo_flags(load_config("cpu-tiny"), PPO_FILES)
    assert without["ckpt.best_metric_key"] == "none"
    assert not without["ckpt.save_hf"]


def test_the_context_of_an_episode_is_what_the_model_can_read():
    step = ppo_flags(load_config("cpu-tiny"), PPO_FILES)
    assert step["data.max_len"] == 512 + 160
    episode = ppo_flags(load_config("cpu-tiny", ["env.mode=episode"]), PPO_FILES)
    assert episode["data.max_len"] == 2048
    short = load_config("cpu-tiny", ["env.mode=episode", "env.max_steps=2"])
    assert ppo_flags(short, PPO_FILES)["data.max_len"] == 2 * (512 + 160)


@pytest.mark.parametrize("command", [PPO_COMMAND, SFT_COMMAND])
def test_the_options_read_from_the_source_are_those_of_the_parser(command, real_parser):
    parser = real_parser(command)
    real = {
        option.lstrip("-") for action in parser._actions for option in action.option_strings
    } - {"h", "help"}
    assert set(read_options(command)) == real


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"actor.adam.learning_rate": 1.0}, "has no option"),
        ({"actor.adam.lrr": 1.0}, "Did you mean 'actor.adam.lr'"),
        ({"train.colocate_all": 3}, "is a flag"),
        ({"ds.zero_stage": True}, "needs a value"),
        ({"ds.zero_stage": 2.5}, "takes int"),
        ({"actor.adam.betas": 0.9}, "takes 2 values"),
        ({"algo.advantage.estimator": "best"}, "is one of gae"),
        ({"ds.zero_stage": (1, 2)}, "takes one value"),
    ],
)
def test_a_wrong_option_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        check_options(PPO_COMMAND, values)


def test_an_option_without_a_name_of_ours_is_passed_through():
    config = load_config(
        "cpu-tiny",
        ["openrlhf.ppo.train.enable_ema=true", "openrlhf.ppo.actor.adam.betas=[0.8, 0.9]"],
    )
    argv = to_argv(ppo_flags(config, PPO_FILES))
    assert "--train.enable_ema" in argv
    at = argv.index("--actor.adam.betas")
    assert argv[at + 1 : at + 3] == ["0.8", "0.9"]


WANDB = ["logging.wandb_project=x"]


def test_weights_and_biases_without_a_key_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="WANDB_API_KEY"):
        ppo_flags(load_config("cpu-tiny", WANDB), PPO_FILES)


@pytest.mark.parametrize("where", ["environment", "netrc"])
def test_the_key_of_weights_and_biases_is_on_no_command_line(where, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if where == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "topsecret")
    else:
        (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password topsecret\n")
        (tmp_path / ".netrc").chmod(0o600)
    argv = to_argv(ppo_flags(load_config("cpu-tiny", WANDB), PPO_FILES))
    assert argv[argv.index("--logger.wandb.project") + 1] == "x"
    assert "--logger.wandb.key" in argv  # OpenRLHF asks whether there is one
    assert not any("topsecret" in word for word in argv)


def test_event_files_are_where_the_stages_read_them_with_and_without_wandb(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "topsecret")
    for overrides in ([], WANDB):
        config = load_config("cpu-tiny", overrides)
        assert ppo_flags(config, PPO_FILES)["logger.wandb.run_name"] == "ppo"
        sft = sft_flags(config, SFT_FILES)
        assert sft["logger.wandb.run_name"] == "sft"
        assert "logger.wandb.key" not in sft
