"""mlagent_train.chat: the same tokens in warm start, training and evaluation."""

import pytest

from mlagent_train.chat import prompt_text, reply_text, turn_text

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
