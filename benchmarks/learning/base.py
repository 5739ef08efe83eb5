"""What the base model is taught before any expert: to find a knob in a prompt and edit it.

The paper starts from Qwen2.5, which can read. A model of a million parameters made on the spot
cannot, and a warm start on six tasks only teaches it which knobs a title stands for. So one
base model is pretrained, once for all arms and seeds, on made-up lists of knobs, each followed
by edits of some of them drawn anew. There is nothing in it about which task has
which knob, which edit helps, or how an action is written; nothing is taken from a held-out
task.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.learning.ideas import edit_of, prefixes
from benchmarks.learning.knobs import Knob, listed
from benchmarks.learning.names import common_knobs, made_up_name, made_up_title

__all__ = ["exercises"]

_METRICS = ("accuracy", "rmse", "log_loss", "auc", "mae")
_SHARES = (0.35, 0.4, 0.25)
"""Of knobs from the held-in tasks, from scikit-learn and made up."""
_COUNTS = (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 40, 50, 64, 100, 128, 200, 300, 500, 1000)
_REALS = (0.0, 1e-4, 0.001, 0.003, 0.01, 0.02, 0.1, 0.2, 0.3, 0.5, 0.9, 1.0, 10.0, 20.0, 100.0)


def exercises(words: Sequence[str], known: Sequence[Knob], count: int, seed: int) -> Iterator[Any]:
    """Yield chats: a prompt with knobs, and a reply with four to eight edits of them.

    Parameters
    ----------
    words
        What titles and names are made of.
    known
        Knobs of the held-in tasks.
    count, seed
        How many, and what draws them.
    """
    rng = random.Random(f"exercises/{seed}")
    pools = (known, common_knobs())
    choices = sorted({knob.text for knob in known if knob.value is not ... and knob.text[0] == '"'})
    for _ in range(count):
        knobs: dict[str, Knob] = {}
        for _ in range(rng.randint(2, 16)):
            (kind,) = rng.choices(range(3), _SHARES)
            knob = rng.choice(pools[kind]) if kind < 2 else _made_up(words, choices, rng)
            if rng.random() < 0.25 and (before := prefixes(knob, choices)):
                knob = Knob(knob.name, f"{rng.choice(before)} {knob.text}")
            knobs[knob.name] = knob
        shown = list(knobs.values())
        script = "\n".join(knob.line for knob in shown)
        once = [knob for knob in shown if script.count(f"{knob.name} = ") == 1]
        edits, lines = [], listed(shown).splitlines()
        for _ in range(rng.randint(4, 8)):
            knob = rng.choice(once)
            edit = edit_of(knob, rng.choice(prefixes(knob, choices) or ["4 *"]))
            edits.append(lines[shown.index(knob)])
            edits.append(json.dumps({"search": edit.search, "replace": edit.replace}))
        prompt = (
            f"Task: {made_up_title(words, rng)}",
            f"{rng.choice(_METRICS)}, {rng.choice(('lower', 'higher'))} is better",
            "Knobs:",
            *lines,
            "Next?",
        )
        yield [
            {"role": "user", "content": "\n".join(prompt)},
            {"role": "assistant", "content": "\n".join(edits)},
        ]


def _made_up(words: Sequence[str], choices: Sequence[str], rng: random.Random) -> Knob:
    values: Sequence[object] = rng.choice(((True, False), _COUNTS, _REALS, (None, "choice")))
    value = rng.choice(values)
    text = rng.choice(choices) if value == "choice" and choices else repr(value)
    return Knob(made_up_name(words, rng), text)
