"""Agent and pool when every fifth step raises, hangs, kills its process or answers garbage."""

import asyncio
import collections
import json
import types

from mlagent_train.envs.pool import start_pool
from mlagent_train.envs.settings import AgentSettings, PoolSettings

PROMPT = "<|im_start|>user\nTask: alpha\nNext?<|im_end|>\n<|im_start|>assistant\n"
STEPS, EVERY, NEUTRAL = 40, 5, 0.25
FIRST = 80  # from here on, some of the steps fail in each way
KINDS = {"raise": "raised", "die": "died", "hang": "timeout", "garbage": "garbage"}


class OneReply:
    """An engine that always generates the same reply."""

    def __init__(self, tokenizer, reply):
        self._ids = tokenizer(text=reply, add_special_tokens=False)["input_ids"]

    async def generate(self, tokens, params):
        output = types.SimpleNamespace(token_ids=self._ids, finish_reason="stop", logprobs=None)
        return types.SimpleNamespace(outputs=[output])


def test_only_the_steps_that_fail_get_the_neutral_value(cluster, toy, tiny_model, edit, end_pool):
    from transformers import AutoTokenizer

    from mlagent_train.rlhf.agent import AgentExecutor

    end_pool()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    replies = [edit("LR = 0.1", f"LR = {number}") for number in range(FIRST, FIRST + STEPS)]
    env = toy.KnobsEnv("alpha")
    env.reset(seed=0)
    faults = [toy.fault_of(env.state(), reply, EVERY) for reply in replies]
    expected = collections.Counter(KINDS[fault] for fault in faults if fault)
    assert set(expected) == set(KINDS.values())  # else this would test less than it says

    pool = start_pool(
        PoolSettings(
            slots=4,
            retries=1,
            step_timeout_s=10.0,  # for the steps that do not hang, on a busy machine
            max_fault_share=0.5,
            env_kwargs={"fault": "any", "fault_every": EVERY},
            agent=AgentSettings(
                max_turns=1, max_new_tokens=400, neutral_reward=NEUTRAL, samples_per_update=STEPS
            ),
        )
    )
    label = {"env_id": "toy_env:Toy/alpha-v0", "state": json.loads(env.state().to_json())}
    label |= {"seed": 0, "tags": {"purpose": "train", "task": "alpha"}}
    params = types.SimpleNamespace(logprobs=None, max_tokens=None, min_tokens=0)
    executor = AgentExecutor()

    async def all_at_once():
        return await asyncio.gather(
            *(
                executor.execute(
                    PROMPT, json.dumps(label), params, 4000, tokenizer, OneReply(tokenizer, reply)
                )
                for reply in replies
            )
        )

    samples = asyncio.run(all_at_once())
    assert [sample["extra_logs"]["fault"] for sample in samples] == [float(bool(f)) for f in faults]
    rewards = [NEUTRAL if fault else 0.5 for fault in faults]
    assert [sample["reward"] for sample in samples] == rewards

    counts = cluster.get(pool.counts.remote())
    assert (counts["steps"], counts["lost"]) == (STEPS, expected.total())
    for kind, number in expected.items():
        assert (counts[f"lost_{kind}"], counts[f"attempts_{kind}"]) == (number, 2 * number)
    assert counts["workers_replaced"] == 2 * (expected["died"] + expected["timeout"])
    end_pool()
