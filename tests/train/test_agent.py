"""mlagent_train.rlhf.agent: what OpenRLHF gets back, whatever the environment does."""

import asyncio
import json
import types

import pytest

from mlagent_train.config import load_config
from mlagent_train.envs.pool import start_pool
from mlagent_train.envs.settings import AgentSettings, PoolSettings
from mlagent_train.envs.stepping import StepOutcome, StepRequest, StepResult
from mlagent_train.errors import MachineError, TooManyFaultsError
from mlagent_train.plan import make_job
from mlagent_train.rlhf.options import PPO_COMMAND
from mlagent_train.run import Run

PROMPT = "<|im_start|>user\nTask: alpha\nNext?<|im_end|>\n<|im_start|>assistant\n"


class ScriptedEngine:
    """Answers with given texts, as tokens of a real tokenizer."""

    def __init__(self, tokenizer, replies):
        self._tokenizer = tokenizer
        self._replies = iter(replies)
        self.asked = []

    async def generate(self, tokens, params):
        self.asked.append((list(tokens), params.max_tokens))
        text = next(self._replies) + self._tokenizer.eos_token
        ids = self._tokenizer(text=text, add_special_tokens=False)["input_ids"][: params.max_tokens]
        logprobs = [{token: types.SimpleNamespace(logprob=-0.5)} for token in ids]
        output = types.SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=logprobs)
        return types.SimpleNamespace(outputs=[output])


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def sample(cluster, toy, tokenizer, end_pool):
    """Run one sample against a pool with settings; return what OpenRLHF gets, and the engine."""

    def run(
        replies, *, max_turns=1, max_length=4000, logprobs=None, count=1, evaluate=None, **settings
    ):
        from mlagent_train.rlhf.agent import AgentExecutor

        agent = AgentSettings(
            max_turns=max_turns, max_new_tokens=200, neutral_reward=0.5, samples_per_update=4
        )
        # Held, because Ray ends a named actor with its last handle.
        _pool = start_pool(PoolSettings(slots=1, retries=0, agent=agent, **settings))
        executor, engine = AgentExecutor(), ScriptedEngine(tokenizer, replies)
        env = toy.KnobsEnv("alpha")
        env.reset(seed=0)
        label = {
            "env_id": "toy_env:Toy/alpha-v0",
            "state": json.loads(env.state().to_json()),
            "seed": 0,
            "tags": {"purpose": "train", "task": "alpha", "row": 0},
        }
        if evaluate:
            label |= {"evaluate": evaluate, "tags": {**label["tags"], "purpose": "evaluate"}}
        params = types.SimpleNamespace(logprobs=logprobs, max_tokens=None, min_tokens=0)
        results = [
            asyncio.run(
                executor.execute(
                    PROMPT, json.dumps(label), params, max_length, tokenizer, engine, images=None
                )
            )
            for _ in range(count)
        ]
        return results[-1], engine

    yield run
    end_pool()


def test_one_action_is_one_range_and_the_environments_reward(sample, edit, tokenizer):
    from mlagent_train.rlhf.agent import LOG_KEYS

    result, engine = sample([edit("LR = 0.1", "LR = 0.01")], logprobs=1)
    prompt_ids = tokenizer(text=PROMPT, add_special_tokens=False)["input_ids"]
    (start, end) = result["action_ranges"][0]
    assert engine.asked == [(prompt_ids, 200)]
    assert result["observation_tokens"][:start] == prompt_ids
    assert end == len(result["observation_tokens"]) == len(result["rollout_log_probs"])
    assert result["rollout_log_probs"][start:] == [-0.5] * (end - start)
    assert (type(result["reward"]), result["reward"], result["scores"]) == (float, 1.0, 1.0)
    assert result["prompt"] == PROMPT
    assert set(result["extra_logs"]) == set(LOG_KEYS)
    assert result["extra_logs"]["improved"] == result["extra_logs"]["valid"] == 1.0


def test_text_that_is_no_action_is_the_environments_business(sample):
    result, _ = sample(["I would rather not."])
    assert result["reward"] == 0.0
    assert result["extra_logs"]["valid"] == 0.0
    assert result["extra_logs"]["fault"] == 0.0


@pytest.mark.parametrize("fault", ["raise", "die", "hang", "garbage"])
def test_a_lost_step_gets_the_neutral_value_and_a_flag(fault, sample, edit):
    # as long as a busy machine may need, where it does not have to be waited for
    patience = 5.0 if fault == "hang" else 600.0
    result, _ = sample(
        [edit("LR = 0.1", "LR = 0.01")], env_kwargs={"fault": fault}, step_timeout_s=patience
    )
    assert result["reward"] == 0.5
    assert result["extra_logs"]["fault"] == 1.0
    assert result["extra_logs"]["valid"] == 0.0


def test_too_many_lost_steps_stop_the_job(sample, edit):
    settings = {"env_kwargs": {"fault": "raise"}, "fault_window": 2, "max_fault_share": 0.4}
    with pytest.raises(TooManyFaultsError):
        sample([edit("LR = 0.1", f"LR = {n}") for n in range(3)], count=3, **settings)


def test_a_pool_that_is_gone_stops_the_job(cluster, toy, edit, end_pool):
    from mlagent_train.rlhf.agent import AgentExecutor

    pool = start_pool(PoolSettings(slots=1, env_kwargs={"seconds": 600.0}))
    executor = AgentExecutor()

    async def step_and_kill():
        request = StepRequest("toy_env:Toy/alpha-v0", edit("LR = 0.1", "LR = 0.01"))
        step = asyncio.create_task(executor._step(request, {}))
        await asyncio.sleep(0.1)
        cluster.kill(pool)
        await step

    with pytest.raises(MachineError, match="pool of environment workers is gone"):
        asyncio.run(step_and_kill())
    end_pool()


def test_an_episode_is_several_ranges_and_the_sum_of_rewards(sample, edit, tokenizer):
    replies = [
        edit("LR = 0.1", "LR = 0.01"),
        edit("DEPTH = 2", "DEPTH = 5"),
        'Action: Final Answer\nAction Input: {"final_answer": "done"}',
    ]
    result, engine = sample(replies, max_turns=5, logprobs=1)
    assert result["reward"] == 1.0 + 1.0 + 0.5
    assert result["extra_logs"]["turns"] == 3.0
    assert len(result["action_ranges"]) == 3
    assert result["action_ranges"][-1][1] == len(result["observation_tokens"])
    assert len(result["rollout_log_probs"]) == len(result["observation_tokens"])
    second = tokenizer.decode(engine.asked[1][0])
    assert second.startswith(PROMPT)
    assert "LR = 0.01" in second
    assert second.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert "<|im_end|><|im_end|>" not in second


def test_an_episode_ends_where_the_context_does(sample, edit, tokenizer):
    length = len(tokenizer(text=PROMPT, add_special_tokens=False)["input_ids"]) + 260
    result, _ = sample(
        [edit("LR = 0.1", f"LR = {n}") for n in range(9)], max_turns=9, max_length=length
    )
    assert len(result["observation_tokens"]) <= length
    assert result["action_ranges"]


def test_logs_are_means_over_turns_and_sums_of_turns_and_gains():
    from mlagent_train.rlhf.agent import log_values

    info = {"valid": True, "outcome": "scored", "gain": 0.25}
    good = StepOutcome(StepResult([], 1.0, False, False, info, None), env_s=2.0)
    lost = StepOutcome(None, fault="died")
    logs = log_values([good, lost])
    assert (logs["turns"], logs["gain"]) == (2.0, 0.25)
    assert (logs["valid"], logs["scored"], logs["fault"], logs["env_s"]) == (0.5, 0.5, 0.5, 1.0)


def test_an_evaluated_episode_has_a_prompt_a_step_and_its_gain_as_reward(
    sample, edit, tokenizer, tmp_path
):
    record = tmp_path / "rollouts.jsonl"
    replies = [edit("LR = 0.1", "LR = 0.01"), "no action at all", edit("DEPTH = 2", "DEPTH = 5")]
    result, engine = sample(
        replies,
        evaluate={"max_steps": 3, "max_prompt_tokens": 60},
        record=str(record),
    )
    assert result["reward"] == result["scores"] == pytest.approx((0.7 - 0.5) / 0.5)
    assert [len(tokens) for tokens, _ in engine.asked] == [
        len(tokenizer(text=PROMPT, add_special_tokens=False)["input_ids"]),
        60,
        60,
    ]
    assert tokenizer.decode(engine.asked[2][0]).endswith("<|im_start|>assistant\n")
    ((start, end),) = result["action_ranges"]
    assert (start, end) == (60, len(result["observation_tokens"]))
    assert result["prompt"] == PROMPT
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(row["purpose"], row["turn"], row["update"]) for row in rows] == [
        ("evaluate", turn, 0) for turn in range(3)
    ]


def test_a_run_of_single_steps_evaluates_whole_episodes(sample, edit, tmp_path):
    run = Run(load_config("cpu-tiny", ["env.mode=step"]), tmp_path)
    replies = [edit("LR = 0.1", "LR = 0.01"), "no action at all", edit("DEPTH = 2", "DEPTH = 5")]
    result, engine = sample(
        replies,
        evaluate={"max_steps": 3, "max_prompt_tokens": 60},
        env_kwargs=make_job(run, PPO_COMMAND, [], roles=3).pool["env_kwargs"],
    )
    assert len(engine.asked) == 3
    assert result["reward"] == pytest.approx((0.7 - 0.5) / 0.5)


def test_an_evaluated_episode_ends_with_a_lost_step(sample, edit):
    result, engine = sample(
        [edit("LR = 0.1", "LR = 0.01")] * 2,
        evaluate={"max_steps": 3, "max_prompt_tokens": 60},
        env_kwargs={"fault": "raise"},
    )
    assert result["reward"] == 0.0
    assert len(engine.asked) == 1


def test_what_ran_and_which_action_it_was_are_logged():
    from mlagent_train.rlhf.agent import LOG_KEYS, log_values

    info = {"outcome": "failed", "gain": 0.0, "run_status": "disk_limit"}
    steps = [
        StepOutcome(StepResult([], 0.0, False, False, {**info, "action": name}, None))
        for name in ("Edit Script (AI)", "Invalid")
    ]
    logs = log_values(steps)
    assert (logs["run_limit"], logs["run_ok"], logs["failed"]) == (1.0, 0.0, 1.0)
    assert (logs["action_edit_script_ai"], logs["action_invalid"]) == (0.5, 0.5)
    assert set(logs) == set(LOG_KEYS)
    assert len(LOG_KEYS) == len(set(LOG_KEYS))
