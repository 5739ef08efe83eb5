"""mlagent_train.rlhf.figures on batches of samples as OpenRLHF holds them."""

import json
import types

import pytest


def experience(tasks, rewards, logs, values=None, returns=None):
    import torch

    info = {key: torch.tensor(value) for key, value in {"reward": rewards, **logs}.items()}
    return types.SimpleNamespace(
        labels=[json.dumps({"tags": {"task": task}}) for task in tasks],
        info=info,
        values=values,
        returns=returns,
        action_mask=None if values is None else torch.ones_like(values),
    )


def test_figures_of_a_task_are_means_over_its_samples():
    from mlagent_train.rlhf.figures import batch_figures

    edit = {"action_edit_script": [1.0, 1.0], "action_list_files": [0.0, 0.0]}
    look = {"action_edit_script": [0.0, 0.5], "action_list_files": [1.0, 0.5]}
    batch = [
        experience(["a", "b"], [1.0, 0.0], {"valid": [1.0, 0.0], "turns": [1.0, 1.0], **edit}),
        experience(["a", "a"], [0.5, 0.0], {"valid": [1.0, 0.0], "turns": [1.0, 1.0], **look}),
    ]
    figures = batch_figures(batch)
    assert figures["task/a/samples"] == 3.0
    assert figures["task/a/reward"] == 0.5
    assert figures["task/a/valid"] == pytest.approx(2 / 3)
    assert figures["task/b/reward"] == figures["task/b/reward_std"] == 0.0
    assert figures["action/edit_script/reward"] == 0.5
    assert figures["action/list_files/reward"] == 0.5  # the sample of both kinds is in neither
    assert not any("turns" in key or "critic" in key for key in figures)


def test_explained_variance_is_one_for_a_perfect_critic_and_zero_for_a_constant():
    import torch

    from mlagent_train.rlhf.figures import batch_figures

    returns = torch.tensor([[1.0, 0.0, 2.0]])
    for values, explained in ((returns, 1.0), (torch.full((1, 3), 7.0), 0.0)):
        figures = batch_figures([experience(["a"], [1.0], {}, values, returns)])
        assert figures["critic/explained_variance"] == pytest.approx(explained)
    flat = torch.ones((1, 3))
    assert "critic/explained_variance" not in batch_figures(
        [experience(["a"], [1.0], {}, flat, flat)]
    )


def test_openrlhfs_loggers_get_them_beside_its_own_figures():
    from mlagent_train.rlhf import figures

    logged = []

    class Maker:
        def compute_advantages_and_returns(self, experiences):
            return experiences

    class Logger:
        def log_train(self, global_step, logs_dict):
            logged.append((global_step, logs_dict))

    figures._keep_figures(types.SimpleNamespace(RemoteExperienceMaker=Maker))
    wandb = type("Wandb", (Logger,), {"log_train": Logger.log_train})
    figures._log_figures(types.SimpleNamespace(TensorboardLogger=Logger, WandbLogger=wandb))
    Maker().compute_advantages_and_returns([experience(["a"], [1.0], {"valid": [1.0]})])
    for logger in (Logger(), wandb()):
        logger.log_train(3, {"rollout/reward_mean": 0.25})
    for step, values in logged:
        assert (step, values["rollout/reward_mean"], values["task/a/valid"]) == (3, 0.25, 1.0)
    assert len(logged) == 2


def test_what_is_extended_reaches_a_ray_actor_of_openrlhfs_trainer(python_path):
    """Ray copies an actor class's own methods, so that extending those would do nothing."""
    import os
    import subprocess
    import sys

    code = (
        "from mlagent_train.rlhf import process; process.prepare();"
        "from openrlhf.trainer.ppo_trainer import PPOTrainer;"
        "trainer = PPOTrainer.__ray_metadata__.modified_class;"
        "names = trainer.__mro__[-3].__init__.__globals__;"
        "maker, board = names['RemoteExperienceMaker'], names['TensorboardLogger'];"
        "assert maker.compute_advantages_and_returns.__wrapped__;"
        "assert board.log_train.__wrapped__ and names['WandbLogger'].log_train.__wrapped__"
    )
    env = {**os.environ, "PYTHONPATH": python_path, "MLAGENT_ROLLOUT_ENGINE": "transformers"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=300)
