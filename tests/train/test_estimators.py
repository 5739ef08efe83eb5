"""Every estimator that the configuration names trains, through OpenRLHF and the agent."""

import math
from typing import get_args, get_type_hints

import pytest

from benchmarks.instant_env import reward_of
from benchmarks.ppo_runs import make_tiny_model, prompt_rows, train
from mlagent_train.config.schema import Ppo
from mlagent_train.rlhf.limits import GROUP_ESTIMATORS

ESTIMATORS = get_args(get_type_hints(Ppo)["estimator"])
UPDATES, SAMPLES = 2, 8


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("estimators"))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_it_trains_on_the_environments_rewards(estimator, model, tmp_path):
    group = 4 if estimator in GROUP_ESTIMATORS else 1
    settings = {
        "ppo.estimator": estimator,
        "ppo.samples_per_state": group,
        "ppo.updates": UPDATES,
        "ppo.states_per_update": SAMPLES // group,
        "ppo.batch_size": SAMPLES,
        "ppo.micro_batch_size": SAMPLES,
        "rollout.micro_batch_size": SAMPLES,
        "ppo.critic_warmup_updates": -1,
        "rollout.max_new_tokens": 16,
    }
    rows = prompt_rows(model, UPDATES * SAMPLES // group)
    run = train(tmp_path / "run", model, rows, settings)
    assert len(run.updates) == UPDATES
    assert len(run.steps) == UPDATES * SAMPLES
    for number, update in enumerate(run.updates, 1):
        rewards = [row["reward"] for row in run.steps if row["update"] == number]
        assert rewards == [reward_of(row["reply"]) for row in run.steps if row["update"] == number]
        assert update["rollout/reward_mean"] == pytest.approx(sum(rewards) / SAMPLES, abs=1e-4)
        assert math.isfinite(update["policy_loss"])
        assert update["actor_grad_norm"] > 0
    assert ("critic_loss" in run.updates[0]) == (estimator == "gae")
