"""Does the policy read its state? Ask it about many states and judge what it wants to edit.

An edit fits a state when every text it searches for occurs exactly once among the knobs the
prompt shows, and is replaced by another one. The state-blind baseline is the same policy
with the wrong prompt: its replies to one state are judged against one of another task. No
environment is needed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learning.knobs import shown_knobs
from mlagent_gym import parse
from mlagent_gym.actions import EditScript
from mlagent_train.chat import prompt_text, reply_text
from mlagent_train.files import write_json

__all__ = ["edits_of", "fits", "judge", "probe"]

_SAMPLES = 4
_MAX_NEW_TOKENS = 96
_BATCH = 64

State = Mapping[str, Any]
Edits = list[tuple[str, str]]


def edits_of(reply: str) -> Edits | None:
    """Return the (search, replace) pairs of a reply; None if it is no edit."""
    action = parse(reply, editor=False)
    if not isinstance(action, EditScript):
        return None
    return [(edit.search, edit.replace) for edit in action.edits]


def fits(reply: str, prompt: str) -> bool:
    """Return whether a reply edits knobs that the prompt shows."""
    shown = "\n".join(knob.line for knob in shown_knobs(prompt))
    edits = edits_of(reply)
    return bool(edits) and all(
        search != replace and shown.count(search) == 1 for search, replace in edits or ()
    )


def judge(states: Sequence[State], replies: Sequence[Sequence[str]], seed: int) -> dict[str, Any]:
    """Return what the replies to some states show.

    Returns
    -------
    dict
        Shares: ``edits`` of all replies; of these ``fits`` their state, and
        ``fits_other_task`` when judged against a drawn state of another task. ``actions``
        counts all replies by name; ``distinct_edits`` counts different edits.
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    distinct = set()
    for state, answers in zip(states, replies, strict=True):
        other = [s for s in states if s["task"] != state["task"]]
        for reply in answers:
            counts[parse(reply, editor=False).name] += 1
            edits = edits_of(reply)
            if not edits:
                continue
            distinct.add(str(edits))
            for name, choices in (("", [state]), ("_other_task", other)):
                if choices:
                    asked[name] += 1
                    hits[name] += fits(reply, _prompt(rng.choice(choices)))
    total = sum(counts.values())
    return {
        "replies": total,
        "edits": asked[""] / max(total, 1),
        **{f"fits{name}": hits[name] / max(asked[name], 1) for name in asked},
        "distinct_edits": len(distinct),
        "actions": dict(counts),
    }


def probe(
    path: Path, model: str, states: Mapping[str, Sequence[State]], count: int, seed: int
) -> None:
    """Ask a model about `count` drawn states of each split; write the replies and shares."""
    rng = random.Random(f"probe/{seed}")
    result: dict[str, Any] = {"model": model}
    for split, pool in states.items():
        drawn = _spread(pool, count, rng)
        replies = _ask(model, [list(state["messages"]) for state in drawn], seed)
        result[split] = judge(drawn, replies, seed)
        result[split]["examples"] = [
            {"task": state["task"], "prompt": _prompt(state), "reply": answers[0]}
            for state, answers in zip(drawn, replies, strict=True)
        ]
    write_json(path, result)


def _spread(pool: Sequence[State], count: int, rng: random.Random) -> list[State]:
    """Draw states, as many of each task as of the others."""
    by_task: dict[str, list[State]] = {}
    for state in rng.sample(list(pool), len(pool)):
        by_task.setdefault(state["task"], []).append(state)
    turns = [rows[i] for i in range(len(pool)) for rows in by_task.values() if i < len(rows)]
    return turns[:count]


def _prompt(state: State) -> str:
    return str(state["messages"][-1]["content"])


def _ask(model: str, chats: Sequence[list[dict[str, str]]], seed: int) -> list[list[str]]:
    """Return `_SAMPLES` replies to each chat, sampled as in training."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    load: Any = AutoModelForCausalLM.from_pretrained
    policy = load(model, dtype=torch.bfloat16).eval()
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    prompts = [
        tokenizer(text=prompt_text(tokenizer, chat), add_special_tokens=False)["input_ids"]
        for chat in chats
        for _ in range(_SAMPLES)
    ]
    replies: list[str] = []
    for start in range(0, len(prompts), _BATCH):
        part = prompts[start : start + _BATCH]
        width = max(map(len, part))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in part])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in part])
        with torch.inference_mode():
            out = policy.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=_MAX_NEW_TOKENS,
                do_sample=True,
                top_k=0,
                eos_token_id=end,
                pad_token_id=pad,
            )
        for row in out[:, width:].tolist():
            cut = row[: row.index(end)] if end in row else row
            replies.append(reply_text(tokenizer, cut))
    return [replies[i : i + _SAMPLES] for i in range(0, len(replies), _SAMPLES)]
