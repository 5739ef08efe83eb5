"""What the expert tries in these experiments: changes of one knob that the tiny prompt shows.

The tiny policy reads the script's knobs and nothing else of it, so only an idea about a knob
can be read off its prompt. `diverse` has one or more for every knob: switches are turned over,
numbers multiplied by each of a few factors, and anything else becomes what the task's bank sets
it to. The expert explores and does not choose: half of a count is tried like its double.

An edit is written so that little has to be copied: ``DEPTH = `` becomes ``DEPTH = 2 * ``,
``CLIP = `` becomes ``CLIP = not ``, ``MODEL = `` becomes ``MODEL = "forest" or ``. The value that
stands there stays, and so the same edit fits whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.learning.knobs import Knob, find_knobs
from mlagent_gym.tasks import Edit, Idea, load_ideas, load_task

__all__ = ["diverse", "edit_of", "prefixes"]

_FACTORS = ("0.1", "0.5", "2", "4")


def diverse(task_id: str) -> tuple[Idea, ...]:
    """Return all changes of the starter's knobs."""
    task = load_task(task_id)
    script = task.starter_files()["train.py"].decode()
    ideas: dict[str, Idea] = {}
    banked = _values({edit.replace for idea in load_ideas(task) for edit in idea.edits})
    for knob in find_knobs(script):
        if script.count(f"{knob.name} = ") == 1:
            for prefix in prefixes(knob, banked.get(knob.name, ())):
                edit = edit_of(knob, prefix)
                ideas[edit.replace] = Idea(edit.replace, knob.name, (edit,))
    return tuple(ideas.values())


def edit_of(knob: Knob, prefix: str) -> Edit:
    """Return the edit that puts something before a knob's value."""
    search = f"{knob.name} = "
    return Edit(search, f"{search}{prefix} ")


def prefixes(knob: Knob, others: Sequence[str]) -> list[str]:
    """Return what to put before a knob's value, which may be one of `others` instead."""
    value = knob.value
    if isinstance(value, bool):
        return ["not"]
    if isinstance(value, (int, float)) and value:
        return [f"{factor} *" for factor in _FACTORS]
    return [f"{text} or" for text in others]


def _values(lines: set[str]) -> dict[str, list[str]]:
    """Return the values that lines ``NAME = value`` give to each name."""
    values: dict[str, list[str]] = {}
    for line in sorted(lines):
        if "\n" not in line:
            for knob in find_knobs(line):
                values.setdefault(knob.name, []).append(knob.text)
    return values
