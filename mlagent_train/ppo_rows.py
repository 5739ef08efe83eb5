"""The prompt files of PPO: pooled states to train on, starters to evaluate from."""

from __future__ import annotations

import json
from typing import Any

from mlagent_train.chat import prompt_text
from mlagent_train.errors import DataError
from mlagent_train.run import Run
from mlagent_train.trajectories import draw_states, pooled_states, read_trajectories

__all__ = ["evaluation_rows", "train_rows"]

Row = dict[str, Any]


def train_rows(run: Run) -> tuple[list[Row], int]:
    """Return the rows of all updates, and how many pooled states were too long.

    Raises
    ------
    DataError
        No pooled state's prompt is short enough.
    """
    from transformers import AutoTokenizer

    config = run.config
    tokenizer: Any = AutoTokenizer.from_pretrained(run.start_model)
    fitting, dropped = [], 0
    for state in pooled_states(run.states, run.env_id):
        state["input"] = prompt_text(tokenizer, state["messages"])
        length = len(tokenizer(text=state["input"], add_special_tokens=False)["input_ids"])
        if length <= config.rollout.max_prompt_tokens:
            fitting.append(state)
        else:
            dropped += 1
    if not fitting:
        raise DataError(
            f"None of the {dropped} pooled states fits rollout.max_prompt_tokens = "
            f"{config.rollout.max_prompt_tokens}. Set it higher, or choose a shorter prompt."
        )
    count = config.ppo.updates * config.ppo.states_per_update
    states = draw_states(fitting, count, seed=config.seed)
    rows = [
        _row(
            state["input"],
            state,
            tags={"purpose": "train", "task": state["task"], "row": number},
            source=state["task"],
        )
        for number, state in enumerate(states)
    ]
    return rows, dropped


def evaluation_rows(run: Run) -> list[Row]:
    """Return a row for each episode of the evaluation made before training.

    Its first steps hold the starters' states and prompts, so that the evaluations between
    updates are of the same episodes.

    Raises
    ------
    DataError
        It has not been made.
    """
    from transformers import AutoTokenizer

    config = run.config
    tokenizer: Any = AutoTokenizer.from_pretrained(run.start_model)
    limits = {
        "max_steps": min(config.evaluate.max_steps, config.env.max_steps),
        "max_prompt_tokens": config.rollout.max_prompt_tokens,
    }
    rows = []
    for number, trajectory in enumerate(read_trajectories(run.folder / "evaluate" / "before")):
        first = {**trajectory[0], "env_id": run.env_id(trajectory[0]["task"])}
        split = "held-in" if first["task"] in run.held_in else "held-out"
        tags = {"purpose": "evaluate", "task": first["task"], "split": split, "row": number}
        row = _row(prompt_text(tokenizer, first["messages"]), first, tags=tags, source=split)
        label = json.loads(row["label"]) | {"evaluate": limits}
        rows.append({**row, "label": json.dumps(label)})
    if not rows:
        raise DataError(
            "evaluate.every_updates repeats the evaluation made before training, and there is "
            "none: run `python -m mlagent_train.ppo`, which makes it, or set every_updates to 0."
        )
    return rows


def _row(prompt: str, state: Row, *, tags: Row, source: str) -> Row:
    """Return a row as OpenRLHF reads it; the agent gets its label."""
    label = {key: state[key] for key in ("env_id", "state", "seed")}
    return {"input": prompt, "label": json.dumps({**label, "tags": tags}), "datasource": source}
