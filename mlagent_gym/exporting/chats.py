"""Recorded steps as chats, one example a step: what fine-tuning trains on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlagent_gym.recording import make_recorded
from mlagent_gym.records import Record, read_records
from mlagent_gym.store import Store

__all__ = ["chats"]


def chats(path: Path, store: Store, *, valid_only: bool = False) -> Iterator[dict[str, Any]]:
    """Yield each step as ``{"messages": [...]}``, the last message being the policy's reply.

    The messages are those the policy was shown. Where a recording does not have them as
    chat messages, they are rendered again from the state before the step; nothing is run.

    Parameters
    ----------
    path
        The recording.
    store
        The store it was recorded with; asked only for recordings without messages.
    valid_only
        Leave out steps whose reply was no action that could be carried out.

    Raises
    ------
    RecordError
        A line is not a record, or its environment cannot be made.
    StoreError
        The store does not have a state's files.
    """
    with contextlib.ExitStack() as stack:
        envs: dict[str, Any] = {}
        for record in read_records(path):
            if valid_only and record.info.get("outcome") == "invalid":
                continue
            messages = record.messages or _rendered(record, store, envs, stack)
            reply = {"role": "assistant", "content": record.reply}
            yield {"messages": [*map(dict, messages), reply]}


def _rendered(
    record: Record, store: Store, envs: dict[str, Any], stack: contextlib.ExitStack
) -> list[dict[str, str]]:
    name = repr(record.env)
    if name not in envs:
        env = make_recorded(record, None, store=store.root, observation="messages")
        envs[name] = stack.enter_context(contextlib.closing(env))
    _, info = envs[name].reset(options={"state": record.state})
    messages: list[dict[str, str]] = info["messages"]
    return messages
