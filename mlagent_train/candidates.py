"""Candidate ideas for a task: out of its bank, or from a language model."""

from __future__ import annotations

import ast
import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlagent_gym import Completion, Edit, EndpointConfig, Idea, Task, complete, load_ideas
from mlagent_train.errors import EndpointError

__all__ = ["ask_for_ideas", "combine_ideas"]

_NUMBER = re.compile(r"^([A-Za-z_]\w*\s*=\s*)([0-9][0-9_]*(?:\.[0-9]+)?(?:e-?[0-9]+)?)$")
_FACTORS = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0)
_AT_A_TIME = 25
_MOST_ROUNDS_IN_VAIN = 3
_SHARE_OF_COMBINATIONS = 0.5

_QUESTION = """You are an expert in machine learning. A colleague improves a script for this task:

{description}

The metric is {metric}. The script as it is:

```python
{script}
```

Propose {count} different ideas for how to change the script so that it scores better. They
should differ from each other as much as possible: data, features, model, loss, optimisation,
regularisation, validation, ensembling. One sentence each.
{known}
Answer with a JSON list of {count} strings and nothing else."""

_KNOWN = "\nIdeas that were proposed before and must not be repeated:\n{ideas}\n"


def combine_ideas(task: Task, count: int, *, seed: int) -> list[Idea]:
    """Return ideas out of a task's bank: as they are, with other values, two or three at once.

    Every one applies to the starter and leaves a script that compiles and that no other one
    leaves. There may be fewer than `count` where the bank is small.

    Parameters
    ----------
    task
        Its folder's ideas are combined.
    count
        Fewest candidates wanted; half of those beyond the bank are variations, as far as
        there are enough.
    seed
        Decides which combinations are taken.
    """
    bank = list(load_ideas(task))
    starter = {path: text.decode() for path, text in task.starter_files().items()}
    rng = random.Random(f"{task.id}/{seed}")
    varied = [idea for one in bank for idea in _variations(one)]
    joined = [_joined(group) for size in (2, 3) for group in itertools.combinations(bank, size)]
    rng.shuffle(varied)
    rng.shuffle(joined)
    share = round((count - len(bank)) * (1 - _SHARE_OF_COMBINATIONS))
    kept: dict[tuple[str, str], Idea] = {}
    for idea in itertools.chain(bank, varied[:share], joined, varied[share:]):
        if len(kept) >= max(count, len(bank)):
            break
        script = _applied(idea, starter.get(idea.script, ""))
        if script is not None:
            kept.setdefault((idea.script, script), idea)
    return list(kept.values())


def _variations(idea: Idea) -> Iterator[Idea]:
    """Yield the one number that an idea sets, set to other values; shares stay shares."""
    if len(idea.edits) != 1:
        return
    (edit,) = idea.edits
    old, new = _NUMBER.match(edit.search), _NUMBER.match(edit.replace)
    if not old or not new or old[1] != new[1]:
        return
    name = new[1].split("=")[0].strip()
    share = all(isinstance(v, float) and v <= 1 for v in map(ast.literal_eval, (old[2], new[2])))
    written = {edit.search, edit.replace}
    for factor in _FACTORS:
        value = _scaled(new[2], factor)
        line = f"{new[1]}{value}"
        if value is None or line in written or (share and float(value) > 1):
            continue
        written.add(line)
        yield Idea(
            name=f"{idea.name}={value}",
            idea=f"Try {value} for {name}, which is {old[2]} now.",
            edits=(Edit(edit.search, line),),
            script=idea.script,
        )


def _scaled(text: str, factor: float) -> str | None:
    """Return a number times a factor, whole numbers staying whole and at least 1."""
    value = ast.literal_eval(text)
    if isinstance(value, int):
        return str(max(1, round(value * factor))) if value else None
    return repr(float(f"{value * factor:.3g}"))


def _joined(ideas: Sequence[Idea]) -> Idea:
    return Idea(
        name="+".join(idea.name for idea in ideas),
        idea=" ".join(idea.idea for idea in ideas),
        edits=tuple(edit for idea in ideas for edit in idea.edits),
        script=ideas[0].script,
    )


def _applied(idea: Idea, text: str) -> str | None:
    """Return a script with an idea's edits; None if one has no place or it does not compile."""
    for edit in idea.edits:
        if text.count(edit.search) != 1:
            return None
        text = text.replace(edit.search, edit.replace)
    try:
        ast.parse(text)
    except SyntaxError:
        return None
    return text


def ask_for_ideas(
    task: Task, count: int, config: EndpointConfig, cache: Path
) -> tuple[list[Idea], Completion]:
    """Return ideas, in words only, that a model proposes.

    It is asked for some at a time and told what it has proposed before; what it answered
    is remembered, so that a killed process asks nothing twice.

    Parameters
    ----------
    task
        The model is shown its description and its starter.
    count
        Fewest ideas.
    config
        The model.
    cache
        Folder of its answers.

    Returns
    -------
    ideas, used
        `used` has the tokens and dollars of all answers.

    Raises
    ------
    EndpointError
        The model did not answer, or has no new ideas.
    """
    script = task.starter_files()["train.py"].decode()
    ideas: dict[str, str] = {}
    used = Completion("")
    in_vain = 0
    while len(ideas) < count:
        question = _QUESTION.format(
            description=task.description,
            metric=task.metric,
            script=script,
            count=_AT_A_TIME,
            known=_KNOWN.format(ideas="\n".join(f"- {i}" for i in ideas.values())) if ideas else "",
        )
        if in_vain:
            question += f" This is attempt {in_vain + 1}."  # or the same answer would come back
        answer = complete(config, [{"role": "user", "content": question}], cache)
        used = Completion(
            "",
            used.prompt_tokens + answer.prompt_tokens,
            used.completion_tokens + answer.completion_tokens,
            used.cost + answer.cost,
            cached=answer.cached,
        )
        before = len(ideas)
        for sentence in _sentences(answer.text):
            ideas.setdefault(_normal(sentence), sentence)
        in_vain = in_vain + 1 if len(ideas) == before else 0
        if in_vain == _MOST_ROUNDS_IN_VAIN:
            raise EndpointError(
                f"{config.model} proposed {len(ideas)} of {count} ideas for {task.id} and then "
                f"{in_vain} times nothing new. Set ideas.candidates lower or "
                "ideas.temperature higher, or ask another model."
            )
    kept = list(ideas.values())[:count]
    return [Idea(f"idea-{n:03d}", text, ()) for n, text in enumerate(kept, start=1)], used


def _sentences(text: str) -> list[str]:
    """Return the strings of a JSON list, or the items of any other kind of list."""
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        items = json.loads(found[0]) if found else None
    except ValueError:
        items = None
    if isinstance(items, list):
        return [item.strip() for item in items if isinstance(item, str) and item.strip()]
    lines = (re.match(r"\s*(?:[-*\u2022]|\d+[.)])\s+(.+)", line) for line in text.splitlines())
    return [line[1].strip() for line in lines if line]


def _normal(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.lower()))
