"""The one rendering of prompts: training, warm start and evaluation must see the same tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "CHAT_TEMPLATE",
    "prompt_text",
    "reply_end",
    "reply_text",
    "token_count",
    "turn_text",
]

Messages = Sequence[Mapping[str, str]]

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, as Qwen models use it, for the tokenizers made here."""

_MARK = "\x00reply\x00"


def prompt_text(tokenizer: Any, messages: Messages) -> str:
    """Render a chat up to where the assistant's reply begins."""
    text: str = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
    )
    return text


def reply_text(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Decode the tokens of a reply, without its end-of-turn token."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
    return text


def reply_end(tokenizer: Any, reply: str) -> str:
    """Return a reply as SFT learns to write it: with the end-of-turn token that ends it."""
    return reply + str(tokenizer.eos_token)


def token_count(tokenizer: Any, messages: Messages, reply: str) -> int:
    """Return the tokens of a prompt and its reply."""
    text = prompt_text(tokenizer, messages) + reply_end(tokenizer, reply)
    return len(tokenizer(text=text, add_special_tokens=False)["input_ids"])


def turn_text(tokenizer: Any, *, ended: bool, message: Mapping[str, str]) -> str:
    """Render what stands between a reply and the next one: its end and the user's message.

    Parameters
    ----------
    tokenizer
        Its chat template is used.
    ended
        Whether the reply's tokens already hold the end-of-turn token.
    message
        The user's next message.
    """
    chat = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": _MARK},
        dict(message),
    ]
    after = prompt_text(tokenizer, chat).rpartition(_MARK)[2]
    end = str(tokenizer.eos_token)
    return after.removeprefix(end) if ended else after
