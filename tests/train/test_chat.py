"""mlagent_train.chat: the same tokens in warm start, training and evaluation."""

import asyncio
import json
import types

import pytest

from mlagent_gym import Record, State, append_record
from mlagent_train.agents import Sampling, Turn
from mlagent_train.agents.checkpoint import Checkpoint
from mlagent_train.chat import prompt_text, reply_text, turn_text
from mlagent_train.collect import collect
from mlagent_train.config import load_config
from mlagent_train.run import open_run

MESSAGES = [{"role": "user", "content": "Task: alpha\nKnobs:\nLR = 0.1\nNext?"}]
REPLY = 'Thought: LR 0.01.\nAction: Edit Script\nAction Input: {"script_name": "train.py"}'


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def tokens(tokenizer, text):
    return tokenizer(text=text, add_special_tokens=False)["input_ids"]


def test_a_prompt_has_the_same_tokens_alone_and_before_its_reply(tokenizer):
    prompt = prompt_text(tokenizer, MESSAGES)
    together = tokens(tokenizer, prompt + REPLY + tokenizer.eos_token)
    assert together == tokens(tokenizer, prompt) + tokens(tokenizer, REPLY + tokenizer.eos_token)


def test_a_reply_survives_being_tokenised(tokenizer):
    ids = tokens(tokenizer, REPLY + tokenizer.eos_token)
    assert ids[-1] == tokenizer.eos_token_id
    assert reply_text(tokenizer, ids) == REPLY


@pytest.mark.parametrize("ended", [True, False])
def test_turns_join_to_what_the_template_renders_of_the_whole_chat(ended, tokenizer):
    answer = {"role": "user", "content": "LR = 0.01\nNext?"}
    whole = prompt_text(tokenizer, [*MESSAGES, {"role": "assistant", "content": REPLY}, answer])
    reply = REPLY + (tokenizer.eos_token if ended else "")
    glue = turn_text(tokenizer, ended=ended, message=answer)
    assert prompt_text(tokenizer, MESSAGES) + reply + glue == whole


DIALOGUE = [
    {"role": "user", "content": "Task: alpha\nKnobs:\nLR = 0.1"},
    {"role": "assistant", "content": REPLY},
    {"role": "user", "content": "It failed: <|oops|> na\u00efve\n\nNext?"},
]
TASK = "house-price"


@pytest.fixture
def collected(tiny_model, tmp_path, monkeypatch):
    """A run whose expert has made one step from a prompt of several turns."""
    from rich.console import Console

    settings = [f"model.path={tiny_model}", f'tasks.held_in=["{TASK}"]', "ppo.updates=1"]
    run = open_run(load_config("cpu-tiny", settings), tmp_path / "run")
    state = State(TASK, "synthetic", "f", 0, {"train.py": "0" * 64})
    record = Record(
        episode="e",
        env={"id": run.env_id(TASK), "kwargs": {}},
        state=state,
        prompt="",
        messages=DIALOGUE,
        reply=REPLY,
        action={"name": "Edit Script"},
        reward=1.0,
        terminated=False,
        truncated=False,
        info={"outcome": "scored", "valid": True},
        next_state=state,
        next_prompt="",
    )
    append_record(run.trajectories / "e.jsonl", record)
    monkeypatch.setattr("mlagent_train.collect.run_episodes", lambda *_: None)
    collect(run, Console(quiet=True))
    return run


def sft_tokens(run, tokenizer):
    """Return the tokens and the loss mask that OpenRLHF's SFT trains on."""
    from datasets import Dataset
    from openrlhf.datasets import SFTDataset

    from mlagent_train.rlhf.flags import SftFiles, sft_flags
    from mlagent_train.sft import _examples

    examples, dropped = _examples(run)
    assert (len(examples), dropped) == (1, 0)
    files = SftFiles("m", run.folder, run.folder, run.folder, run.folder)
    flags = sft_flags(run.config, files)
    data = types.SimpleNamespace(
        input_key=flags["data.input_key"],
        output_key=flags["data.output_key"],
        apply_chat_template=flags.get("data.apply_chat_template", False),
    )
    strategy = types.SimpleNamespace(args=types.SimpleNamespace(data=data))
    dataset = SFTDataset(
        Dataset.from_list(examples),
        tokenizer,
        run.config.sft.max_tokens,
        strategy,
        input_template=flags["data.input_template"],
        num_processors=None,
    )
    ids, _, mask = dataset[0]
    return ids[0].tolist(), mask[0].tolist()


def ppo_tokens(run, tokenizer):
    """Return the tokens that a rollout of PPO starts with."""
    from datasets import Dataset
    from openrlhf.datasets import PromptDataset

    from mlagent_train.ppo_rows import train_rows

    rows, _ = train_rows(run)
    data = types.SimpleNamespace(input_key="input", label_key="label", apply_chat_template=False)
    strategy = types.SimpleNamespace(args=types.SimpleNamespace(data=data), is_rank_0=lambda: False)
    dataset = PromptDataset(Dataset.from_list(rows[:1]), tokenizer, strategy)
    _, prompt, *_ = dataset[0]
    return tokens(tokenizer, prompt)  # as the rollout's agent does


def evaluation_tokens(run, monkeypatch, tokenizer):
    """Return the tokens that the policy reads in an evaluation, and what becomes of its reply."""
    asked = []

    class Engine:
        async def generate(self, prompt, params, request_id):
            asked.extend(prompt["prompt_token_ids"])
            ids = tokens(tokenizer, REPLY + tokenizer.eos_token)
            yield types.SimpleNamespace(outputs=[types.SimpleNamespace(token_ids=ids)])

    monkeypatch.setattr(
        "mlagent_train.cuda_free.engine.AsyncLLMEngine.from_engine_args", lambda args: Engine()
    )
    agent = Checkpoint(run.start_model, Sampling(max_prompt_tokens=4000), vllm=False)
    reply = asyncio.run(agent.act(Turn(TASK, 0, DIALOGUE, {})))
    return asked, reply.text


def test_sft_ppo_and_evaluation_see_the_same_tokens(collected, tokenizer, monkeypatch, tiny_model):
    sft, mask = sft_tokens(collected, tokenizer)
    run = types.SimpleNamespace(
        config=collected.config,
        states=collected.states,
        env_id=collected.env_id,
        start_model=str(tiny_model),
    )
    prompt = ppo_tokens(run, tokenizer)
    evaluated, reply = evaluation_tokens(run, monkeypatch, tokenizer)
    assert evaluated == prompt
    answer = tokens(tokenizer, REPLY + tokenizer.eos_token)
    assert sft == prompt + answer
    assert answer[-1] == tokenizer.eos_token_id
    assert reply == REPLY
    # position i of the mask is for the prediction of token i + 1: the reply's, its end included
    learned = [sft[i + 1] for i, kept in enumerate(mask[:-1]) if kept]
    assert learned == answer
    assert json.loads(collected.sft_data.read_text())["messages"][:-1] == DIALOGUE
