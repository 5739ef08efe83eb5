"""More examples for the warm start: expert steps with their knobs mixed and renamed.

A model of a million parameters trained on six tasks remembers which knobs a title stands for
instead of reading them, and fails on every other task. Here each step of the expert is shown
again under another title, with knobs of other tasks between its own, some of its own left
out, in another order and some with other names: what stays is that a name has to be copied
out of the prompt, and which kind of change goes with which kind of value. New names are
those of scikit-learn's parameters, or made up of words of the held-in tasks and of syllables;
nothing is taken from a held-out task.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.learning.knobs import Knob, listed, pointer, shown_knobs
from benchmarks.learning.names import common_knobs, made_up_name, made_up_title

__all__ = ["pointed", "renamed"]

Row = Mapping[str, Any]

_KNOBS, _STEPS = "\nKnobs:\n", "\nSteps:\n"
_KEPT_NAMES = 0.8
"""Share of knobs that keep their name: what a name means is worth remembering."""
_COMMON_NAMES = 0.6
"""Share of the other names that are those of scikit-learn's parameters."""


def renamed(row: Row, words: Sequence[str], others: Sequence[Knob], rng: random.Random) -> Row:
    """Return a step with the same action on other knobs.

    Parameters
    ----------
    row
        A step of a trajectory whose prompt is the tiny one.
    words
        Words that names may be made of.
    others
        Knobs of other held-in tasks, some of which are put between.
    rng
        Draws everything.
    """
    prompt = row["messages"][-1]["content"]
    opening, _, rest = prompt.partition(_KNOBS)
    shown, steps, history = rest.partition(_STEPS)
    shown, closing = shown.rsplit("\n", 1) if not steps else (shown, "")
    texts = [shown, history, row["reply"]]
    taken = {knob.name for knob in shown_knobs(shown)}
    for name in sorted(taken):
        if rng.random() >= _KEPT_NAMES:
            new = _new_name(words, taken, rng)
            texts = [re.sub(rf"\b{name}\b", new, text) for text in texts]
    shown, history, reply = texts
    touched = set(re.findall(r"[A-Z][A-Z0-9_]*(?= = )", history + reply))
    share = rng.random()
    knobs = [k for k in shown_knobs(shown) if k.name in touched or rng.random() < share]
    for knob in rng.sample(others, rng.randint(0, 8)):
        if not _mistakable(knob.name, taken):
            taken.add(knob.name)
            knobs.append(knob)
    rng.shuffle(knobs)
    opening = re.sub(r"^Task: .*", lambda _: f"Task: {made_up_title(words, rng)}", opening)
    prompt = opening + _KNOBS + listed(knobs) + (steps + history if steps else f"\n{closing}")
    return {
        **row,
        "messages": [{"role": "user", "content": prompt}],
        "reply": pointed(reply, knobs),
    }


def pointed(reply: str, knobs: Sequence[Knob]) -> str:
    """Let a reply's thought point at the knob that it edits, as a prompt lists it."""
    _, action, rest = reply.partition("\nAction: ")
    for number, knob in enumerate(knobs, 1):
        if f'"{knob.name} = "' in rest:
            return f"Thought: {pointer(knob, number)}{action}{rest}"
    return reply


def _new_name(words: Sequence[str], taken: set[str], rng: random.Random) -> str:
    """Draw a name that is not taken, and take it."""
    while True:
        common = rng.random() < _COMMON_NAMES
        name = rng.choice(common_knobs()).name if common else made_up_name(words, rng)
        if not _mistakable(name, taken):
            taken.add(name)
            return name


def _mistakable(name: str, taken: set[str]) -> bool:
    """Whether a search for one name finds the other, too."""
    return any(name.endswith(other) or other.endswith(name) for other in taken)
