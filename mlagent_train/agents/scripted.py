"""Scripted policies as agents; they need no model."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict

from mlagent_gym import (
    Idea,
    IdeaBankExpert,
    NoOp,
    Policy,
    RandomAction,
    load_ideas,
    load_task,
    render,
)
from mlagent_train.agents.base import Agent, Reply, Turn
from mlagent_train.errors import ConfigError

__all__ = ["IdeasOf", "scripted_agent"]

IdeasOf = Callable[[str], Sequence[Idea]]

_SCRIPT = re.compile(r"```python\n(.*)\n```", re.DOTALL)


def scripted_agent(name: str, ideas: IdeasOf | None, count: tuple[int, int]) -> Agent:
    """Return a scripted agent; raises `ConfigError` if there is none of this name."""
    policies: dict[str, Callable[[], Policy]] = {
        "no-op": NoOp,
        "random": lambda: RandomAction(ideas),
        "expert": lambda: IdeaBankExpert(count, ideas),
        "greedy": lambda: IdeaBankExpert((100, 100), ideas),
    }
    if name == "propose":
        return _Proposer(ideas or _folder_ideas)
    if name not in policies:
        raise ConfigError(
            f"There is no scripted policy {name!r}; known: {', '.join(policies)}, propose."
        )
    return _Scripted(policies[name])


class _Scripted:
    """A policy that keeps something in mind, told of the past anew each time."""

    def __init__(self, make: Callable[[], Policy]):
        self._make = make

    async def act(self, turn: Turn) -> Reply:
        policy = self._make()
        policy.start(turn.task, seed=turn.seed)
        for observation, info in turn.past:
            policy.act(observation, info)
        return Reply(policy.act(turn.messages[-1]["content"], turn.info))


class _Proposer:
    """Proposes ideas that fit the script in the prompt; needs no memory, so it suits a tree."""

    def __init__(self, ideas: IdeasOf):
        self._ideas = ideas

    async def act(self, turn: Turn) -> Reply:
        found = _SCRIPT.search(turn.messages[-1]["content"])
        script = found.group(1) if found else ""
        rng = random.Random(f"{turn.task}/{turn.seed}/{len(turn.past)}")
        fitting = [
            idea
            for idea in self._ideas(turn.task)
            if all(script.count(edit.search) == 1 for edit in idea.edits)
        ]
        if not fitting:
            return Reply(render("Final Answer", {"final_answer": "No idea is left."}))
        idea = rng.choice(fitting)
        edits = [asdict(edit) for edit in idea.edits]
        action_input = {"script_name": idea.script, "edits": edits}
        return Reply(render("Edit Script", action_input, thought=idea.idea))


def _folder_ideas(task_id: str) -> Sequence[Idea]:
    return load_ideas(load_task(task_id))
