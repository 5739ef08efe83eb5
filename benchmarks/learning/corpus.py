"""What the models read: exercises for the base model, expert steps for the warm start."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learning.base import exercises
from benchmarks.learning.knobs import Knob, find_knobs, shown_knobs
from benchmarks.learning.probe import edits_of
from benchmarks.learning.renaming import pointed, renamed
from mlagent_gym import load_task
from mlagent_train.files import write_jsonl
from mlagent_train.run import Run
from mlagent_train.trajectories import read_trajectories

__all__ = ["write_exercises", "write_warm_start"]

_SHOWN_AS_IS = 0.4
"""Share of the warm start's examples that are the expert's own, not renamed."""
_KEYS = ("task", "state", "env", "messages", "reply")
_READ = 4000
"""Exercises that the tokenizer is made from."""
_WORD = re.compile(r"[A-Za-z]{3,9}")

Row = Mapping[str, Any]


def write_exercises(run: Run, expert: Path, count: int) -> None:
    """Write what the base model and its tokenizer are made from, unless it is there.

    Parameters
    ----------
    run
        The base model's.
    expert
        Trajectories on the held-in tasks, for the tokenizer and for words.
    count
        How many exercises.
    """
    if run.sft_data.exists():
        return
    steps = _valid_steps(expert)
    known = [knob for knobs in _knobs(run).values() for knob in knobs]
    chats = list(exercises(_words(steps), known, count, run.config.seed))
    read = (
        {**step, "messages": chat[:1], "reply": chat[1]["content"]}
        for step, chat in zip(itertools.cycle(steps), chats[:_READ], strict=False)
    )
    write_jsonl(run.trajectories / "steps.jsonl", [*steps, *read])  # what the tokenizer reads
    write_jsonl(run.sft_data, ({"messages": chat} for chat in chats))


def write_warm_start(run: Run, expert: Path, count: int, *, ideas: int = 0, turns: int = 1) -> None:
    """Write chats of the expert's edits and renamed ones, shuffled, unless they are there.

    Without its other actions: taking back and ending are worth more than a young policy's
    edits, which often do not fit, and PPO would settle for them before the edits get better.

    Parameters
    ----------
    run
        An arm's, whose seed draws everything.
    expert
        Trajectories on the held-in tasks.
    count
        How many chats in all.
    ideas
        How many ideas for each task they show, drawn from those the expert tried; 0: all.
    turns
        A chat has between one and so many steps. They have nothing to do with each other: what
        there is to learn is to read the last prompt.
    """
    if not run.sft_data.exists():
        edits = [row for row in _valid_steps(expert) if edits_of(row["reply"])]
        if ideas:
            edits = _of_few_ideas(edits, ideas, random.Random(f"ideas/{run.config.seed}"))
        rng = random.Random(f"turns/{run.config.seed}")
        lengths = [rng.randint(1, turns) for _ in range(count)]
        rows = _examples(run, edits, sum(lengths))
        chats = (itertools.islice(rows, length) for length in lengths)
        write_jsonl(run.sft_data, ({"messages": _chat(chat)} for chat in chats))


def _chat(rows: Iterable[Row]) -> list[Mapping[str, str]]:
    replies = ([*row["messages"], {"role": "assistant", "content": row["reply"]}] for row in rows)
    return [message for turn in replies for message in turn]


def _of_few_ideas(edits: Sequence[Row], ideas: int, rng: random.Random) -> list[Row]:
    """Return the steps that try one of so many drawn ideas of their task."""
    tried: dict[str, dict[str, list[Row]]] = {}
    for row in edits:
        rows = tried.setdefault(row["task"], {})
        rows.setdefault(str(edits_of(row["reply"])), []).append(row)
    kept = ((rows, rng.sample(sorted(rows), ideas)) for _, rows in sorted(tried.items()))
    return [row for rows, drawn in kept for idea in drawn for row in rows[idea]]


def _examples(run: Run, steps: Sequence[Row], count: int) -> Iterator[Row]:
    rng = random.Random(f"examples/{run.config.seed}")
    words, knobs = _words(steps), _knobs(run)
    others = {task: [k for t, ks in knobs.items() if t != task for k in ks] for task in knobs}
    for _ in range(count):
        row = rng.choice(steps)
        if rng.random() < _SHOWN_AS_IS:
            shown = shown_knobs(row["messages"][-1]["content"])
            yield {**row, "reply": pointed(row["reply"], shown)}
        else:
            yield renamed(row, words, others[row["task"]], rng)


def _valid_steps(expert: Path) -> list[Row]:
    rows = (row for one in read_trajectories(expert) for row in one if row["info"]["valid"])
    return [{key: row[key] for key in _KEYS} for row in rows]


def _words(steps: Sequence[Row]) -> list[str]:
    prompts = " ".join(row["messages"][-1]["content"] for row in steps)
    return sorted({word.lower() for word in _WORD.findall(prompts)})


def _knobs(run: Run) -> dict[str, list[Knob]]:
    """Return the knobs of each held-in task's starter."""
    return {
        task: find_knobs(load_task(task).starter_files()["train.py"].decode())
        for task in run.held_in
    }
