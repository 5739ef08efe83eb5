"""The examples of other trainers run as they are printed, with a small model."""

import asyncio
import contextlib
import types
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

PAGE = Path(__file__).parents[2] / "docs" / "rl-libraries.md"

pytestmark = pytest.mark.train


def example(number):
    """Return one of the examples, to be run by itself."""
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(PAGE.parent)).parse(PAGE)
    return list(document.examples())[number]


@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_rewards_of_the_environment(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL", str(tiny_model))
    with contextlib.chdir(tmp_path):
        ran = example(0)
        ran.evaluate()
    trainer = ran.namespace["trainer"]
    assert trainer.state.global_step == 1
    (reward,) = [log["reward"] for log in trainer.state.log_history if "reward" in log]
    assert reward == 0  # an untrained model says nothing that is an action


def test_openrlhf_is_given_the_reward_of_the_environment(tiny_model):
    import gymnasium as gym
    from transformers import AutoTokenizer

    from mlagent_gym import render

    ran = example(1)
    ran.evaluate()
    env = gym.make("MLAgent/house-price-v0")
    prompt, _ = env.reset(seed=0)
    label = env.unwrapped.state().to_json()
    env.close()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    reply = render("List Files", {"dir_path": "."})

    class Engine:
        async def generate(self, tokens, params, multi_modal_data=None):
            ids = tokenizer(text=reply, add_special_tokens=False)["input_ids"]
            output = types.SimpleNamespace(token_ids=ids, text=reply, finish_reason="stop")
            return types.SimpleNamespace(outputs=[output])

    executor = ran.namespace["AgentExecutor"]()
    params = types.SimpleNamespace(max_tokens=64, logprobs=None)
    sample = asyncio.run(executor.execute(prompt, label, params, 100_000, tokenizer, Engine()))
    assert sample["reward"] == 0.5
