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


def test_openrlhfs_trainer_logs_them_beside_its_own(monkeypatch):
    from mlagent_train.rlhf import figures

    class Trainer:
        def _compute_rollout_stats(self, experiences):
            return {"rollout/reward_mean": 0.25}

    module = types.SimpleNamespace(BasePPOTrainer=Trainer)
    figures._extend(module)
    stats = Trainer()._compute_rollout_stats([experience(["a"], [1.0], {"valid": [1.0]})])
    assert stats["rollout/reward_mean"] == 0.25
    assert stats["task/a/valid"] == 1.0


def test_the_method_that_is_extended_is_there(python_path):
    import os
    import subprocess
    import sys

    code = (
        "from mlagent_train.cuda_free import shim; shim.install();"
        "from mlagent_train.rlhf import figures; figures.install();"
        "from openrlhf.trainer.ppo_trainer import BasePPOTrainer as T;"
        "assert T._compute_rollout_stats.__wrapped__;"
        "import inspect; source = inspect.getsource(T.train_step);"
        "assert 'status.update(rollout_stats)' in source"
    )
    env = {**os.environ, "PYTHONPATH": python_path}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=300)
